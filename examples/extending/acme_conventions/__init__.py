# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
# Generated from the registry https://schemas.acme.example/claims/1.0.0 by: runrecord generate. Do not edit.
"""What the claims agents of Acme Insurance say beyond Runrecord's conventions."""

from typing import Final

__all__ = ["SCHEMA_URL"]

SCHEMA_URL: Final = "https://schemas.acme.example/claims/1.0.0"
"""Which registry this is, and which version of it; for tracers, loggers and meters."""
