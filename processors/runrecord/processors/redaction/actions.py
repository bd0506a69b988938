# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What stands in the place of what was found; none of it repeats what it replaces."""

from __future__ import annotations

import hashlib
import hmac
import re

from runrecord.processors.redaction.boundaries import is_bare_number

TOKEN = b"[REDACTED]"
_PSEUDONYM_HEX = 12
_DONE = re.compile(
    rb"\[REDACTED(?::[0-9a-f]{12})?\]|hmac-sha256:[0-9a-f]{64}|\*+|null",
)


def already_redacted(value: bytes) -> bool:
    """Whether a value is one that an action here has written, so that redacting it again changes nothing."""
    return not value or _DONE.fullmatch(value) is not None


class Replacer:
    """Makes replacements.

    Args:
        key: The secret of the keyed actions, 16 bytes or more; None if the policy has none of them.
    """

    def __init__(self, key: bytes | None) -> None:
        self._key = key

    def __repr__(self) -> str:
        """Never show the key."""
        return f"Replacer(key={'set' if self._key else 'none'})"

    def value(self, action: str, kind: str, original: bytes) -> bytes:
        """The replacement of a text.

        Args:
            action: ``token``, ``pseudonym``, ``mask`` or ``hash``; what removes more than the text is a token here.
            kind: The rule's kind, like ``email``.
            original: The text as it was, escapes undone where that is known.
        """
        if action == "mask":
            return b"*" * len(original)
        if action == "hash":
            return b"hmac-sha256:" + self._digest(b"hash", original).encode()
        if action == "pseudonym":
            return b"[%s:%s]" % (
                kind.upper().encode(),
                self._digest(kind.encode(), original)[:_PSEUDONYM_HEX].encode(),
            )
        return b"[%s]" % kind.upper().encode()

    def match(self, action: str, kind: str, text: bytes, start: int, end: int) -> bytes:
        """The replacement of a part of a text, which stays a number where JSON has a bare number."""
        if is_bare_number(text, start, end):
            return b"1" + b"0" * (end - start - 1) if action == "mask" else b"0"
        return self.value(action, kind, text[start:end])

    def _digest(self, purpose: bytes, original: bytes) -> str:
        if self._key is None:
            msg = "a keyed action without a key"
            raise RuntimeError(msg)  # the policy check refuses this
        message = b"runrecord/redaction/v1\0" + purpose + b"\0" + original
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
