# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What to say to somebody who asks for a run that is not there, or for one of several."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

from runrecord.ledger.errors import LedgerError

_NEAREST: Final = 3
_NEAR: Final = 0.6  # of difflib; two random ids of hex digits reach about 0.45


class UnknownRun(LedgerError):  # noqa: N818 - a state of the ledger, named as users meet it
    """No run, or more than one, has this id or prefix.

    Attributes:
        nearest: Run ids that the user may have meant; the newest ones if none is like it.
    """

    def __init__(self, message: str, next_step: str, nearest: Sequence[str] = ()) -> None:
        super().__init__(message, next_step)
        self.nearest = tuple(nearest)


def several_runs(run: str, matching: Sequence[str]) -> UnknownRun:
    """Return the error about a prefix of several runs."""
    shown = ", ".join(matching[:_NEAREST])
    return UnknownRun(f"more than one run starts with {run!r}: {shown}", "type more of the id", matching)


def unknown_run(run: str, known: Sequence[str], where: str, pruned: str) -> UnknownRun:
    """Return the error about a run that is not there.

    Args:
        run: What was asked for.
        known: The runs that are there, the newest first.
        where: The ledger.
        pruned: What was pruned of it, or empty.
    """
    message = f"there is no run {run!r} in the ledger in {where}" + (f"; {pruned}" if pruned else "")
    if nearest := difflib.get_close_matches(run, known, n=_NEAREST, cutoff=_NEAR):
        return UnknownRun(message, f"the nearest are: {', '.join(nearest)}", nearest)
    newest = known[:_NEAREST]
    hint = f"the newest runs are: {', '.join(newest)}" if newest else "the ledger holds no run yet"
    return UnknownRun(message, hint, newest)
