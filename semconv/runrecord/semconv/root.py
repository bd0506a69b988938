# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The root over the ids of the records of a segment, which its source states when it closes the segment."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

_PREFIX = "sha256:"


def records_root(ids: Sequence[tuple[int, int]]) -> str:
    """Return ``runrecord.run.root``: the RFC 6962 tree hash over the records' ids, in the order of their counter.

    Args:
        ids: Trace id and span id of each, as numbers of 128 and 64 bits; at least one.
    """
    level = [
        sha256(b"\x00" + trace.to_bytes(16, "big") + span.to_bytes(8, "big")).digest() for trace, span in ids
    ]
    while len(level) > 1:
        pairs = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        level = [*pairs, *level[2 * len(pairs) :]]
    return _PREFIX + level[0].hex()
