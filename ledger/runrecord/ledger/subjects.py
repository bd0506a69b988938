# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Finding the runs of a person, in a ledger that holds no index of persons: by trying whether commitments open to their name.

It reads every entry, and so takes time; an index would be personal data that can't be erased.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from runrecord.ledger.entry import Entry
from runrecord.ledger.errors import MalformedError
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.opening import opens
from runrecord.ledger.run_keys import RunKeys
from runrecord.semconv import attributes as names

SUBJECT_ATTRIBUTES: Final = (
    "user.id",
    "user.email",
    "user.full_name",
    "user.name",
    "enduser.id",
    "enduser.pseudo.id",
    names.APPROVAL_ACTOR_REF,
    names.DELEGATION_REF,
    names.ESCALATION_TARGET_REF,
    names.PRINCIPAL_REF,
)
"""Attributes that name a person; some of them are on the allow-list, so that short values stand in clear."""
_CHUNK: Final = 256

Values = Callable[[str], Sequence[str]]
"""Gives the texts under which a person may appear in the records of a tenant, as given and as redaction writes them."""


@dataclass
class Found:
    """What was found of a person in one run.

    Attributes:
        committed: Indices of entries that commit to them.
        clear: Indices of entries that name them in clear; an erasure leaves those as they are.
    """

    committed: list[int] = field(default_factory=list[int])
    clear: list[int] = field(default_factory=list[int])


def find_subject(
    ledger: Ledger,
    keys: RunKeys,
    values: Values,
    *,
    attributes: Iterable[str] = SUBJECT_ATTRIBUTES,
    since: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Found]:
    """Return the runs in which a person appears; of erased runs only those that name them in clear.

    Args:
        ledger: The ledger.
        keys: Its run keys.
        values: The texts to look for.
        attributes: Names of the attributes to look in.
        since: Index of the first entry to look at.
        progress: If given, called with the number of entries that are done, and that of all.

    Raises:
        LedgerError: The ledger can't be read.
    """
    wanted = tuple(dict.fromkeys(attributes))
    needles = [json.dumps(name).encode() + b":" for name in wanted]
    search = _Search(keys, values, wanted)
    size = ledger.log.size
    for start in range(since, size, _CHUNK):
        for index, leaf in ledger.log.kept(start, min(start + _CHUNK, size)):
            if any(needle in leaf for needle in needles):
                search.look(index, leaf)
        if progress is not None:
            progress(min(start + _CHUNK, size), size)
    return search.found


class _Search:
    def __init__(self, keys: RunKeys, values: Values, attributes: Sequence[str]) -> None:
        self._keys = keys
        self._values = values
        self._attributes = attributes
        self._wanted: dict[str, list[Any]] = {}
        self.found: dict[str, Found] = {}

    def look(self, index: int, leaf: bytes) -> None:
        try:
            entry = Entry.parse(leaf)
        except MalformedError:
            return  # of a later schema: nobody here can open it
        if not entry.run:
            return
        wanted = self._of(entry.tenant)
        for name in self._attributes:
            if entry.text(name) in wanted:
                self.found.setdefault(entry.run, Found()).clear.append(index)
                break
        key = self._keys.key(entry.tenant, entry.run)
        if key is None:
            return
        names_here = [name for name in self._attributes if name in entry.commitments]
        if any(opens(key, entry, name, value) for name in names_here for value in wanted):
            self.found.setdefault(entry.run, Found()).committed.append(index)

    def _of(self, tenant: str) -> list[Any]:
        """Return the values to look for in a tenant's records, as entries write them."""
        if tenant not in self._wanted:
            texts = list(dict.fromkeys(text for text in self._values(tenant) if text))
            numbers = [{"intValue": text} for text in texts if text.lstrip("-").isdecimal()]
            self._wanted[tenant] = [*texts, *numbers]
        return self._wanted[tenant]
