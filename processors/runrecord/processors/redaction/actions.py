# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What stands in the place of what was found; none of it repeats what it replaces."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from runrecord.processors.redaction.boundaries import is_bare_number
from runrecord.processors.redaction.pseudonyms import KEY_ID_HEX, PseudonymKey

TOKEN: Final = b"[REDACTED]"
KEYED: Final = frozenset({"pseudonym", "hash"})
_PSEUDONYM_HEX: Final = 12
_KEY_ID: Final = f"[0-9a-f]{{{KEY_ID_HEX}}}"
_HASH: Final = rf"hmac-sha256:(?:{_KEY_ID}:)?[0-9a-f]{{64}}"
_ESCAPED: Final = ((rb"\\{1,15}u0040", b"@"), (rb"\\{1,15}u002[bB]", b"+"), (rb"\\{1,15}/", b"/"))


def markers(kinds: Iterable[str]) -> str:
    """A regex of what the actions here write for these kinds of text, in upper case."""
    return rf"\[(?:{'|'.join(sorted(kinds))})(?::(?:{_KEY_ID}\.)?[0-9a-f]{{{_PSEUDONYM_HEX}}})?\]|{_HASH}|\*+"


_DONE: Final = re.compile(rf"{markers(['REDACTED'])}|null".encode())


def plain(text: bytes) -> bytes:
    """The text with the escapes undone that a JSON encoder may use for ``@``, ``+`` and ``/``."""
    if b"\\" not in text:
        return text
    for pattern, char in _ESCAPED:
        text = re.sub(pattern, char, text)
    return text


def already_redacted(value: bytes) -> bool:
    """Whether a value is one that an action here has written, so that redacting it again changes nothing."""
    return not value or _DONE.fullmatch(value) is not None


class Replacer:
    """Makes replacements.

    Args:
        key: The key of the keyed actions; None if the policy has none of them.
    """

    def __init__(self, key: PseudonymKey | None) -> None:
        self._key = key

    def __repr__(self) -> str:
        """Never show the key."""
        return f"Replacer(key={'set' if self._key else 'none'})"

    def value(self, action: str, kind: str, original: bytes, tenant: bytes = b"") -> bytes:
        """The replacement of a text.

        Args:
            action: ``token``, ``pseudonym``, ``mask`` or ``hash``; what removes more than the text is a token here.
            kind: The rule's kind, like ``email``.
            original: The text as it was, escapes undone where that is known.
            tenant: Whose text it is; used by the keyed actions only.
        """
        if action == "mask":
            return b"*" * len(original)
        if action == "hash":
            key = self._keyed()
            return f"hmac-sha256:{key.id}:{key.digest(b'hash', original, tenant)}".encode()
        if action == "pseudonym":
            return pseudonym(self._keyed(), kind, original, tenant)
        return b"[%s]" % kind.upper().encode()

    def match(self, action: str, kind: str, text: bytes, span: tuple[int, int], tenant: bytes = b"") -> bytes:
        """The replacement of a part of a text, which stays a number where JSON has a bare number."""
        start, end = span
        if is_bare_number(text, start, end):
            return b"1" + b"0" * (end - start - 1) if action == "mask" else b"0"
        original = text[start:end]
        return self.value(action, kind, original if action == "mask" else plain(original), tenant)

    def _keyed(self) -> PseudonymKey:
        if self._key is None:
            msg = "a keyed action without a key"
            raise RuntimeError(msg)  # the policy check refuses this
        return self._key


def pseudonym(key: PseudonymKey, kind: str, original: bytes, tenant: bytes = b"") -> bytes:
    """The pseudonym of a text under a key: ``[EMAIL:<key id>.<digest>]``."""
    digest = key.digest(kind.encode(), original, tenant)[:_PSEUDONYM_HEX]
    return f"[{kind.upper()}:{key.id}.{digest}]".encode()
