# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What an operator does to a ledger besides appending, done by whoever has the right to write, if need be at another process's request.

A directory has one writer, usually a gateway. A command that wants something of the ledger then leaves a request in
``.state/requests/``, where only who may write to the ledger can, and waits for the answer. An action may be carried out more than
once, for a crash can come between it and its answer: what it appends has the time of the request, and so is the same entry.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

from runrecord.ledger.errors import LedgerError, LedgerLocked
from runrecord.ledger.files import disk_errors, make_directory, write_whole
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.note import NoteSigner
from runrecord.ledger.recovery import missing_checkpoint
from runrecord.ledger.stores.base import CHECKPOINT
from runrecord.ledger.stores.location import Location, open_store
from runrecord.ledger.strict_json import (
    StrictJsonError,
    decimal,
    read_object,
    refuse,
    string,
    string_map,
)

Action = Callable[[Ledger, Mapping[str, str]], Mapping[str, str]]
"""Takes what is asked for, with ``time`` in nanoseconds since the Unix epoch; returns what came of it, for people and programs."""

ACTIONS: Final[Mapping[str, str]] = {
    "erase": "runrecord.ledger.erasure:erase",
    "legal_hold": "runrecord.ledger.legal_hold:change",
    "prune": "runrecord.ledger.prune:prune",
    "rotate_key": "runrecord.ledger.rotate:rotate_key",
}
"""Name of an action to where it is: module and function. It can be carried out again without harm, and raises a LedgerError."""

_MAX_REQUEST: Final = 1 << 20
_REQUEST: Final = re.compile(r"[0-9a-f]{32}\.json")
_ANSWER: Final = ".answer"
_KEPT_SECONDS: Final = 86_400.0
"""How long an answer that nobody fetched is kept."""
_POLL_SECONDS: Final = 0.05

_log = logging.getLogger(__name__)


def administer(
    location: Location,
    action: str,
    details: Mapping[str, str],
    *,
    signers: Sequence[NoteSigner] = (),
    timeout: float = 60.0,
) -> Mapping[str, str]:
    """Do something to a ledger, or have the process do it that writes to it.

    Args:
        location: Of a ledger that is there.
        action: One of ``ACTIONS``.
        details: What it needs; ``time`` is added.
        signers: The log key, if it is not the one in the ledger's state; during the overlap of two keys, both, the newest first.
        timeout: Seconds to wait for that process.

    Returns:
        What the action returned.

    Raises:
        LedgerError: It was refused, or nobody answered; then the request stays, and the message says where.
    """
    store = open_store(location)
    try:
        if store.read(CHECKPOINT) is None:
            raise missing_checkpoint(store)
        requests = store.path / ".state" / "requests"
    finally:
        store.close()
    asked = {**details, "time": details.get("time") or str(time.time_ns())}
    try:
        newest, previous = (signers[0], signers[1:]) if signers else (None, ())
        with Ledger(location, signer=newest, previous=previous, checkpoint_interval=None) as ledger:
            return carry_out(ledger, action, asked)
    except LedgerLocked as error:
        return _ask(requests, action, asked, error, timeout)


def carry_out(ledger: Ledger, action: str, details: Mapping[str, str]) -> Mapping[str, str]:
    """Do one thing, as the one who writes to the ledger.

    Raises:
        LedgerError: It was refused, or there is no such action.
    """
    place = ACTIONS.get(action)
    if place is None:
        raise LedgerError(
            f"no action on a ledger is named {action!r}", "use one version of runrecord on this machine"
        )
    module, _, name = place.partition(":")
    return cast("Action", getattr(import_module(module), name))(ledger, details)


def carry_out_requests(ledger: Ledger) -> int:
    """Carry out what other processes asked for, and answer; call it about once a second while the ledger is open to write.

    Returns:
        How many requests there were.
    """
    directory = ledger.path / ".state" / "requests"
    if not directory.is_dir():
        return 0
    found = sorted(path for path in directory.iterdir() if _REQUEST.fullmatch(path.name))
    for path in found:
        answer = _answer(ledger, path)
        with contextlib.suppress(LedgerError):  # it stays a request, and is tried again
            write_whole(path.with_suffix(_ANSWER), json.dumps(answer).encode(), 0o600)
            path.unlink(missing_ok=True)
    _forget_answers(directory)
    return len(found)


def _answer(ledger: Ledger, path: Path) -> dict[str, Any]:
    try:
        action, details = _read(path)
        return {"result": dict(carry_out(ledger, action, details))}
    except LedgerError as error:
        return {"error": error.message, "next_step": error.next_step or ""}
    except Exception as error:  # noqa: BLE001 - whoever asked is told, and the writer goes on
        _log.warning("a request in %s was not carried out: %s", path.parent, type(error).__name__)
        return {
            "error": f"it failed with {type(error).__name__}",
            "next_step": "nothing says that it was done; report this name with the version of runrecord",
        }


def _read(path: Path) -> tuple[str, Mapping[str, str]]:
    with disk_errors(path):
        data = path.read_bytes()
    try:
        if len(data) > _MAX_REQUEST:
            refuse("it is too long")
        request = read_object(data)
        details = string_map(request, "details")
        decimal(details.get("time"), "time")
        return string(request, "action"), details
    except StrictJsonError as error:
        raise LedgerError(f"the request {path} can't be read: {error}", "ask again") from error


def _forget_answers(directory: Path) -> None:
    for path in directory.glob(f"*{_ANSWER}"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _KEPT_SECONDS:
                path.unlink()


def _ask(
    directory: Path, action: str, details: Mapping[str, str], locked: LedgerLocked, timeout: float
) -> Mapping[str, str]:
    """Leave a request for the process that has the ledger, and wait for its answer."""
    make_directory(directory, 0o700)
    path = directory / f"{secrets.token_hex(16)}.json"
    answer = path.with_suffix(_ANSWER)
    write_whole(path, json.dumps({"action": action, "details": details}).encode(), 0o600)
    deadline = time.monotonic() + timeout
    while not answer.exists():
        if time.monotonic() > deadline:
            raise LedgerError(
                f"{locked.message}, which did not answer within {timeout:g} s",
                f"it carries the request out as soon as it can; to withdraw it, remove {path}",
            )
        time.sleep(_POLL_SECONDS)
    with disk_errors(answer):
        said: dict[str, Any] = json.loads(answer.read_bytes())
        answer.unlink()
    if "error" in said:
        raise LedgerError(said["error"], said["next_step"] or None)
    return string_map(said, "result")
