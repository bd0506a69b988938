# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The attributes that stand for a text in the content store: where it is, its digest, its size.

The name of the first is what the OpenTelemetry GenAI utilities use when they upload messages: the attribute's own name
with ``.ref`` behind it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from runrecord.processors.redaction.content_store import ContentStore
from runrecord.processors.redaction.wire import delimited, varint

_KEY, _VALUE = 1, 2
_STRING, _INT = 1, 3


@dataclass(frozen=True)
class Offloaded:
    """A text for the content store.

    Attributes:
        content: The text, redacted.
        digest: Its SHA-256, hexadecimal: its name in the store.
        uri: Where it will be.
        name: The attribute's name, or the dotted path of keys to the text.
        position: Offset of the original in the request.
    """

    content: bytes
    digest: str
    uri: str
    name: bytes
    position: int

    @classmethod
    def of(cls, content: bytes, store: ContentStore, name: bytes, position: int) -> Offloaded:
        """Find out where a text will be."""
        digest = hashlib.sha256(content).hexdigest()
        return cls(content, digest, store.uri(digest), name, position)


def reference(number: int, text: Offloaded) -> bytes:
    """The attributes that refer to a text, as fields of a list of attributes with this field number."""
    size = varint(_INT << 3) + varint(len(text.content))
    return b"".join(
        delimited(number, delimited(_KEY, text.name + name) + delimited(_VALUE, value))
        for name, value in (
            (b".ref", delimited(_STRING, text.uri.encode())),
            (b".ref.digest", delimited(_STRING, f"sha256:{text.digest}".encode())),
            (b".ref.size", size),
        )
    )
