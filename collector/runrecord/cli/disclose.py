# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What `runrecord bundle --disclose` opens: the values come from a file, the salts from the keys of the ledger."""

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
        values: The file that holds what was committed to.
    """
    from runrecord.ledger.disclosures import disclose, salts
    from runrecord.ledger.run_keys import RunKeys
    from runrecord.semconv.commitment import load_tenant_key
    from runrecord.semconv.errors import TenantKeyError

    known: Mapping[tuple[int, str], Any] = _read(values) if values is not None else {}
    try:
        keys = RunKeys(ledger.run_secrets, load_tenant_key(create=False))
    except TenantKeyError as error:
        fail(f"{error}.", "set RUNRECORD_KEY as for the gateway that wrote the ledger", code=_USAGE)
    return lambda view: disclose(view.records, wanted, known, salts(keys))


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
