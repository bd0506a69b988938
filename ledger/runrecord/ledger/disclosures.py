# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Opening single commitments of entries for a reader: the value, and the salt with which anybody can check it.

A salt is that of one label, which is one attribute of one record: it opens nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from runrecord.ledger.entry import Entry
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.opening import label
from runrecord.ledger.records import Record
from runrecord.ledger.run_keys import RunKeys
from runrecord.ledger.strict_json import JSON, array, decimal, read_object, refuse, string
from runrecord.semconv.canonical import canonical_json
from runrecord.semconv.commitment import commit_with_salt

MAX_DISCLOSURES: Final = 10_000
"""Most commitments that a bundle opens."""

_MEMBERS: Final = {"index", "label", "name", "salt", "value"}
_MAX_NAMED: Final = 20
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
        return entry.commitments.get(self.name) == commit_with_salt(self.salt, self.value)


def is_wanted(wanted: Iterable[str], index: int, name: str) -> bool:
    """Return whether an attribute of an entry was asked for, by its name or as ``INDEX:NAME``."""
    return any(word in (name, f"{index}:{name}") for word in wanted)


def disclose(
    records: Iterable[Record],
    wanted: Iterable[str],
    values: Mapping[tuple[int, str], JSON],
    salt_of: Callable[[Entry, str], tuple[str, bytes]],
) -> list[Disclosure]:
    """Open what was asked for, and nothing else.

    Args:
        records: Of the run.
        wanted: Names of attributes, opened wherever a record commits to them; or ``INDEX:NAME`` for that of one entry.
        values: What was committed to, by entry and name.
        salt_of: Returns the label of an attribute of an entry and its salt.

    Raises:
        LedgerError: There is no such commitment, its value is not known, or is not the one that was committed to.
    """
    found: dict[tuple[int, str], Disclosure] = {}
    committed = {(r.index, name): r.entry for r in records for name in r.entry.commitments}
    for word in wanted:
        places = [(index, name) for index, name in committed if is_wanted((word,), index, name)]
        if not places:
            names = ", ".join(sorted({name for _, name in committed})[:_MAX_NAMED]) or "none"
            raise LedgerError(f"no entry of the run commits to {word!r}", f"the names are: {names}")
        for index, name in places:
            if (index, name) not in values:
                raise LedgerError(
                    f"the value of {name!r} of entry {index} is not known, so that it can't be disclosed",
                    "give it in a file with --values FILE, if you have it; the vault does not hold it",
                )
            opened = Disclosure(index, name, *salt_of(committed[index, name], name), values[index, name])
            if not opened.opens(committed[index, name]):
                raise LedgerError(
                    f"the value of {name!r} is not the one that entry {index} commits to",
                    "give the value as it was recorded, after redaction",
                )
            found[index, name] = opened
    if len(found) > MAX_DISCLOSURES:
        raise LedgerError(
            f"{len(found)} values would be disclosed, more than {MAX_DISCLOSURES}", "name fewer of them"
        )
    return list(found.values())


def salts(keys: RunKeys) -> Callable[[Entry, str], tuple[str, bytes]]:
    """Return what gives the label and the salt of an attribute of an entry.

    Args:
        keys: Of the runs of the ledger.
    """

    def salt_of(entry: Entry, name: str) -> tuple[str, bytes]:
        key = keys.key(entry.tenant, entry.run)
        if key is None:
            raise LedgerError(
                f"the key of run {entry.run} was destroyed: nothing of it can be disclosed any more",
                "make the bundle without --disclose",
            )
        under = label(entry, name)
        return under, key.salt(under)

    return salt_of


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
