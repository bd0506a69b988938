# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The vocabulary of an agent run: attribute keys, signals, canonical JSON and commitments.

``attributes``, ``signals`` and ``metrics`` hold the constants, ``registry`` the definitions they are generated from,
``json_schema`` a JSON Schema for each, ``canonical`` and ``commitment`` what takes the place of content. The constants, the
canonical form and the commitments need the standard library only; what reads a registry needs PyYAML.
"""

from typing import Final

from runrecord.semconv.canonical import canonical_json, to_json_domain
from runrecord.semconv.commitment import RunKey, TenantKey, load_tenant_key, state_dir
from runrecord.semconv.errors import (
    CanonicalError,
    RegistryError,
    SemconvError,
    StateDirectoryError,
    TenantKeyError,
)

__all__ = [
    "SCHEMA_BASE_URL",
    "SCHEMA_URL",
    "SCHEMA_VERSION",
    "CanonicalError",
    "RegistryError",
    "RunKey",
    "SemconvError",
    "StateDirectoryError",
    "TenantKey",
    "TenantKeyError",
    "canonical_json",
    "load_tenant_key",
    "state_dir",
    "to_json_domain",
]

SCHEMA_VERSION: Final = "0.1.0"
"""The version of the conventions; the last part of :data:`SCHEMA_URL`."""

SCHEMA_BASE_URL: Final = "https://schemas.runrecord.invalid/runrecord"
"""Where schema files would lie. The project has no published host; ``.invalid`` never resolves (RFC 2606)."""

SCHEMA_URL: Final = f"{SCHEMA_BASE_URL}/{SCHEMA_VERSION}"
"""What every tracer and logger of ours is made with."""
