# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What `runrecord bundle --disclose` opens: the values come from a file or the vault, the salts from the keys of the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runrecord.cli.console import fail

if TYPE_CHECKING:
    from runrecord.ledger import Ledger, RunView
    from runrecord.ledger.disclosures import Disclosure

_USAGE = 4


def discloser(
    ledger: Ledger, wanted: Sequence[str], values: Path | None
) -> Callable[[RunView], Sequence[Disclosure]]:
    """Return what opens the commitments of a run that were asked for.

    Args:
        ledger: It keeps the keys, with the tenant key of this process.
        wanted: Names of attributes, or INDEX:NAME.
        values: A file that holds what was committed to; what is not in it is looked for in the vault.
    """
    from runrecord.ledger.disclosures import disclose, is_wanted, salts
    from runrecord.ledger.run_keys import RunKeys
    from runrecord.ledger.vault import vault_of
    from runrecord.semconv.commitment import load_tenant_key
    from runrecord.semconv.errors import TenantKeyError

    known: Mapping[tuple[int, str], Any] = _read(values) if values is not None else {}
    try:
        tenant_key = load_tenant_key(create=False)
    except TenantKeyError as error:
        fail(f"{error}.", "set RUNRECORD_KEY as for the gateway that wrote the ledger", code=_USAGE)
    keys, vault = RunKeys(ledger.run_secrets, tenant_key), vault_of(ledger, tenant_key)

    def opened(view: RunView) -> Sequence[Disclosure]:
        found = dict(known)
        for record in view.records:
            names = {name for name in record.entry.commitments if is_wanted(wanted, record.index, name)}
            missing = {name for name in names if (record.index, name) not in found}
            kept = vault.open(record.entry) if vault is not None and missing else {}
            found |= {(record.index, name): kept[name] for name in missing & kept.keys()}
        return disclose(view.records, wanted, found, salts(keys))

    return opened


def _read(path: Path) -> Mapping[tuple[int, str], Any]:
    """Read values: ``{"INDEX": {"NAME": VALUE}}``, each as the entry committed to it."""
    from runrecord.ledger.strict_json import DECIMAL, StrictJsonError, read_object

    try:
        members = read_object(path.read_bytes())
    except OSError as error:
        fail(f"{path} can't be read: {error.strerror or 'an I/O error'}.", "check the path", code=_USAGE)
    except StrictJsonError as error:
        fail(f"{path} holds no values: {error}.", _FORM, code=_USAGE)
    found: dict[tuple[int, str], Any] = {}
    for index, named in members.items():
        if not DECIMAL.fullmatch(index) or not isinstance(named, dict):
            fail(f"{path} holds no values: a member is not the index of an entry.", _FORM, code=_USAGE)
        found |= {(int(index), name): value for name, value in cast("dict[str, Any]", named).items()}
    return found


_FORM = """write {"41": {"gen_ai.tool.call.arguments": "..."}}: index of the entry, name of the attribute, its value"""
