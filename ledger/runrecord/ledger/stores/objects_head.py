# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The head of a log in an object store: the one object that every append replaces."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from runrecord.ledger.errors import LedgerCorrupt
from runrecord.ledger.stores.objects import HEAD, JOURNAL

if TYPE_CHECKING:
    from runrecord.ledger.stores.objects import ObjectStore

_FIRST = slice(len(JOURNAL), len(JOURNAL) + 20)


class Segment(NamedTuple):
    """One group that is in no tile yet: its first index, how many entries it has, and the object that holds it."""

    first: int
    length: int
    name: str


@dataclass(frozen=True, slots=True)
class HeadObject:
    """A head as it was read or written.

    Attributes:
        size: How many entries are durable.
        segments: The groups that may be in no tile yet, in order.
        version: What a conditional put needs to replace it.
    """

    size: int
    segments: tuple[Segment, ...]
    version: Any

    def encode(self) -> bytes:
        """Return it as JSON."""
        return json.dumps({"size": self.size, "journal": self.segments}).encode()


def read_head(store: ObjectStore) -> HeadObject | None:
    """Return the head, None if there is none.

    Raises:
        LedgerCorrupt: It is not one.
    """
    found = store.get(HEAD)
    if found is None:
        return None
    data, version = found
    try:
        head = json.loads(data)
        segments = tuple(
            Segment(int(first), int(length), str(name)) for first, length, name in head["journal"]
        )
        return HeadObject(int(head["size"]), segments, version)
    except (ValueError, KeyError, TypeError):
        raise LedgerCorrupt(
            f"{store.locate(HEAD)} is damaged: it does not say how far the log is",
            "restore the object, from an earlier version if the bucket keeps them",
        ) from None


def segment_name(first: int, token: str) -> str:
    """Return the name of a group's object."""
    return f"{JOURNAL}{first:020d}-{token}"


def first_of(name: str) -> int | None:
    """Return the first index of a group by the name of its object, None if it is not one."""
    digits = name[_FIRST]
    return int(digits) if digits.isdecimal() and name.startswith(JOURNAL) else None
