# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Opening single commitments of entries for a reader: the value, and the salt with which anybody can check it.

A salt is that of one label, which is one attribute of one record: it opens nothing else.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from runrecord.ledger.entry import Entry
from runrecord.ledger.strict_json import JSON, array, decimal, read_object, refuse, string
from runrecord.semconv.canonical import canonical_json
from runrecord.semconv.commitment import commit_with_salt

MAX_DISCLOSURES: Final = 10_000
"""Most commitments that a bundle opens."""

_MEMBERS: Final = {"index", "label", "name", "salt", "value"}
_SALT: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Disclosure:
    """One commitment, opened.

    Attributes:
        index: Of the entry.
        name: Of the attribute in it.
        label: Under which it was committed to.
        salt: Of that label, 32 bytes.
        value: What was committed to, JSON.
    """

    index: int
    name: str
    label: str
    salt: bytes
    value: JSON

    def opens(self, entry: Entry) -> bool:
        """Return whether the entry commits to exactly this value under this name."""
        committed = entry.commitments.get(self.name) or entry.text(self.name)
        return hmac.compare_digest(
            commit_with_salt(self.salt, self.value).encode(), committed.encode("utf-8", "replace")
        )


def encode_disclosures(disclosures: Sequence[Disclosure]) -> bytes:
    """Return the file."""
    return canonical_json(
        {
            "disclosures": [
                {
                    "index": str(d.index),
                    "label": d.label,
                    "name": d.name,
                    "salt": d.salt.hex(),
                    "value": d.value,
                }
                for d in sorted(disclosures, key=lambda d: (d.index, d.name))
            ]
        }
    )


def decode_disclosures(data: bytes) -> list[Disclosure]:
    """Read the file; only the canonical form is accepted, ascending by entry and name.

    Raises:
        StrictJsonError: It is not one.
        ValueError: It is not canonical JSON.
    """
    members = read_object(data)
    if members.keys() != {"disclosures"} or canonical_json(members) != data:
        refuse("it is not in canonical form")
    found = [_read(item) for item in array(members, "disclosures")]
    places = [(d.index, d.name) for d in found]
    if places != sorted(set(places)) or not 0 < len(found) <= MAX_DISCLOSURES:
        refuse("it opens nothing, too much, or the same twice")
    return found


def _read(item: JSON) -> Disclosure:
    if not isinstance(item, dict) or cast("dict[str, JSON]", item).keys() != _MEMBERS:
        refuse("a disclosure has other members than it should")
    members = cast("dict[str, JSON]", item)
    salt = string(members, "salt")
    if not _SALT.fullmatch(salt):
        refuse("a salt is not 64 lower-case hex digits")
    return Disclosure(
        decimal(members["index"], "index"),
        string(members, "name"),
        string(members, "label"),
        bytes.fromhex(salt),
        members["value"],
    )


def by_place(disclosures: Sequence[Disclosure]) -> Mapping[tuple[int, str], JSON]:
    """Return the values by entry and name."""
    return {(d.index, d.name): d.value for d in disclosures}
