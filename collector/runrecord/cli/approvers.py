# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Under which texts whoever approved may be recorded: as themselves, or as what stands in their place.

The convention asks for an opaque reference, and that is compared as it is. Where a redaction policy replaced a name or an address by
a pseudonym or a keyed hash, or an app committed to it under the key of its run, whoever holds the tenant key can work the replacement
out for the text that they look for, and find what it stands for; nobody else can.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from runrecord.ledger import Ledger
    from runrecord.semconv.commitment import TenantKey

_PSEUDONYM: Final = re.compile(r"\[([A-Z][A-Z0-9_]*):[0-9a-f]{8}\.[0-9a-f]+\]")
_HASH: Final = re.compile(r"hmac-sha256:[0-9a-f]{8}:[0-9a-f]{64}")
_COMMITMENT: Final = "hmac-sha256:"
MOST: Final = 10_000
"""So many commitments are looked for at most, those of the newest runs."""


def recorded_as(ledger: Ledger, people: Iterable[str]) -> tuple[str, ...]:
    """Return the texts under which people may be recorded as approvers in a ledger; each text itself comes first."""
    from runrecord.semconv.commitment import load_tenant_key
    from runrecord.semconv.errors import SemconvError

    wanted = list(people)
    plain = [each for each in wanted if "*" not in each]
    recorded = ledger.texts("approver") if plain else []
    if not any(each.startswith(("[", _COMMITMENT)) for each in recorded):
        return tuple(wanted)
    try:
        key = load_tenant_key(create=False)
    except SemconvError:  # without the key only the recorded text itself can be found
        return tuple(wanted)
    found = _pseudonyms(key, plain, recorded, ledger.texts("tenant")) | _commitments(key, plain, ledger)
    return (*wanted, *sorted(found))


def _pseudonyms(key: TenantKey, people: list[str], recorded: list[str], tenants: list[str]) -> set[str]:
    from runrecord.processors.redaction.actions import Replacer
    from runrecord.processors.redaction.pseudonyms import PseudonymKey

    replacer = Replacer(PseudonymKey(key.pseudonym_key()))
    kinds = {("pseudonym", match[1].lower()) for each in recorded if (match := _PSEUDONYM.fullmatch(each))}
    kinds |= {("hash", "") for each in recorded if _HASH.fullmatch(each)}
    made = {
        replacer.value(action, kind, person.encode(), tenant.encode()).decode()
        for action, kind in kinds
        for person in people
        for tenant in {"", *tenants}
    }
    return made & set(recorded)


def _commitments(key: TenantKey, people: list[str], ledger: Ledger) -> set[str]:
    from runrecord.semconv.commitment import LABEL_ACTOR

    found: set[str] = set()
    for run, text in ledger.runs_by("approver", _COMMITMENT):
        run_key = key.run_key(run)
        if any(run_key.commit(LABEL_ACTOR, person) == text for person in people):
            found.add(text)
            if len(found) >= MOST:
                break
    return found
