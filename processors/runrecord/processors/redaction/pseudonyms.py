# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Keyed digests of what was found: the same text gives the same digest, under one key and within one tenant."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runrecord.processors.errors import PolicyError
from runrecord.semconv.commitment import read_tenant_key
from runrecord.semconv.errors import TenantKeyError

KEY_ID_HEX: Final = 8
_KEY_BYTES: Final = 16
_TENANTS: Final = 1024


class PseudonymKey:
    """A secret, and a name for it by which people can tell which key a pseudonym was made with.

    Args:
        secret: 16 bytes or more.

    Attributes:
        id: Eight hexadecimal digits; they say nothing about the secret.

    Raises:
        PolicyError: The secret is too short.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < _KEY_BYTES:
            raise PolicyError(f"the key has {len(secret)} bytes; give it {_KEY_BYTES} or more")
        self.id = hmac.digest(secret, b"runrecord/redaction/key-id/v1", "sha256").hex()[:KEY_ID_HEX]
        self._secret = secret
        self._tenants: dict[bytes, bytes] = {}

    def __repr__(self) -> str:
        """Never show the secret."""
        return f"PseudonymKey(id={self.id!r})"

    def digest(self, purpose: bytes, original: bytes, tenant: bytes = b"") -> str:
        """Digest a text: 64 hexadecimal digits.

        Args:
            purpose: What the digest is for; two purposes give two digests.
            original: The text.
            tenant: Whose text it is; the same text of two tenants gives two digests.
        """
        message = b"runrecord/redaction/v1\0" + purpose + b"\0" + original
        return hmac.digest(self._of(tenant), message, "sha256").hex()

    def _of(self, tenant: bytes) -> bytes:
        if not tenant:
            return self._secret
        secret = self._tenants.get(tenant)
        if secret is None:
            secret = hmac.digest(self._secret, b"runrecord/redaction/tenant/v1\0" + tenant, "sha256")
            if len(self._tenants) >= _TENANTS:  # a sender can make up any number of them
                self._tenants.clear()
            self._tenants[tenant] = secret
        return secret


def read_previous(paths: Sequence[Path]) -> tuple[PseudonymKey, ...]:
    """Read the tenant keys that were in use before.

    Raises:
        PolicyError: A file cannot be read, or holds no key.
    """
    keys: list[PseudonymKey] = []
    for index, path in enumerate(paths):
        try:
            keys.append(PseudonymKey(read_tenant_key(path).pseudonym_key()))
        except TenantKeyError as error:
            raise PolicyError(f"redaction.pseudonyms.previous_keys.{index}: {error}") from None
    return tuple(keys)
