# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Letting go of what was kept long enough: entry bundles of closed epochs, all of whose entries have outlived the retention of their kind.

Time counts from the close of the epoch, by the clock of the ledger's writer: what emitters claim decides nothing. Before anything is
removed a ``pruned`` entry says what will be, a published checkpoint covers it, and its proof lies beside the log. What is to be
removed still is kept in ``.state/pruning``; a crash, or a lock of the store, delays it until the ledger is opened or pruned again.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.epochs import Epoch, closed_epochs
from runrecord.ledger.errors import LedgerError, MalformedError, Pruned
from runrecord.ledger.log import Log
from runrecord.ledger.once import append_once
from runrecord.ledger.pruned import PRUNED, Pruning, decode_ranges, encode_ranges, parse_pruning
from runrecord.ledger.run_facts import Row, row_of
from runrecord.ledger.run_index import RunIndexError
from runrecord.ledger.tiles import TILE_WIDTH, TilePath
from runrecord.ledger.tlog_proof import TlogProof

if TYPE_CHECKING:
    from runrecord.ledger.ledger import Ledger

_log = logging.getLogger(__name__)

PRUNING: Final = ".state/pruning"
DEFAULT: Final = "default"
_DAY: Final = 86_400
_NANO: Final = 1_000_000_000
_BATCH: Final = 256
_MAX_RANGES: Final = 30_000
"""Characters; an entry holds no more, and what is left over is pruned the next time."""


@dataclass(frozen=True)
class Retention:
    """How long entries are kept.

    Attributes:
        days: Kind of an entry, or ``default``, to the days for which it is kept at least from the close of its epoch on. What is
            not named is kept for ever.
    """

    days: Mapping[str, int] = field(default_factory=dict[str, int])

    def __bool__(self) -> bool:
        """Return whether anything is ever let go of."""
        return bool(self.days)

    def __str__(self) -> str:
        """Return it as text, such as ``approval_decision=3650 default=365``."""
        return " ".join(f"{kind}={days}" for kind, days in sorted(self.days.items()))

    @classmethod
    def parse(cls, text: str) -> Retention:
        """Read the text.

        Raises:
            LedgerError: It is none.
        """
        days: dict[str, int] = {}
        for part in text.split():
            kind, _, number = part.partition("=")
            if not kind or not number.isdecimal() or kind in days or len(number) > 6:  # noqa: PLR2004 - digits
                raise LedgerError(
                    "a retention is not of the form KIND=DAYS", "write default=365 approval_decision=3650"
                )
            days[kind] = int(number)
        return cls(days)

    def days_of(self, kind: str) -> float:
        """Return the days for which entries of a kind are kept; infinite if for ever."""
        return self.days.get(kind, self.days.get(DEFAULT, float("inf")))

    @property
    def shortest(self) -> float:
        """The days before which nothing is let go of."""
        return min(self.days.values(), default=float("inf"))


KEEP_ALL: Final = Retention()


@dataclass
class Plan:
    """What would be pruned.

    Attributes:
        bundles: Numbers of entry bundles, ascending.
        epoch: The newest epoch that they are in.
        held: Runs under a legal hold that keep others.
    """

    bundles: list[int] = field(default_factory=list[int])
    epoch: str = ""
    held: set[str] = field(default_factory=set[str])

    @property
    def entries(self) -> int:
        """How many entries."""
        return len(self.bundles) * TILE_WIDTH


@dataclass(frozen=True)
class Outcome:
    """What pruning came to.

    Attributes:
        plan: What was stated, or would be.
        index: Index of the entry that states it, None if nothing was.
        removed: How many bundles are gone.
        left: How many are stated and could not be removed yet.
    """

    plan: Plan
    index: int | None = None
    removed: int = 0
    left: int = 0


Holds = Callable[["Ledger"], set[str]]
"""Returns the runs under a legal hold; asked for only where something is to go, since it may read all entries."""


def plan_pruning(ledger: Ledger, retention: Retention, holds: Holds) -> Plan:
    """Return what has been kept long enough.

    Raises:
        LedgerError: The ledger can't be read.
    """
    log, plan = ledger.log, Plan()
    epochs = closed_epochs(log, ledger.now())
    if not epochs:
        return plan
    end = epochs[0].size // TILE_WIDTH
    waiting = set(_Waiting.read(log).bundles)
    held: set[str] | None = None
    for bundle in sorted(_bundles(log)):
        epoch = _epoch_of(epochs, (bundle + 1) * TILE_WIDTH - 1)
        days = (ledger.now() - epoch.closed / _NANO) / _DAY
        if bundle >= end or bundle in waiting or days < retention.shortest:
            continue
        runs = _runs_if_outlived(log, bundle, retention, days)
        if runs is None:
            continue
        held = holds(ledger) if held is None else held
        kept = runs & held
        plan.held |= kept
        if not kept:
            plan.bundles.append(bundle)
            plan.epoch = epoch.name
            if len(plan.bundles) % _BATCH == 0 and len(encode_ranges(plan.bundles)) > _MAX_RANGES:
                break
    return plan


def _bundles(log: Log) -> Iterable[int]:
    """Yield the numbers of the full entry bundles that are there."""
    for name in log.objects.names("tile/entries/"):
        with contextlib.suppress(MalformedError):
            path = TilePath.parse(name)
            if path.width == TILE_WIDTH:
                yield path.index


def _epoch_of(epochs: Sequence[Epoch], index: int) -> Epoch:
    """Return the epoch of an entry, of the newest first; the oldest that is known, if it is older."""
    return next((epoch for epoch in epochs if epoch.first <= index), epochs[-1])


def _runs_if_outlived(log: Log, bundle: int, retention: Retention, days: float) -> set[str] | None:
    """Return the runs of an entry bundle, None if an entry of it has to be kept still."""
    runs: set[str] = set()
    for row in _rows(log, bundle):
        if days < retention.days_of(row.kind):  # what is no entry of ours has none, and goes by the default
            return None
        runs.add(row.run)
    return runs - {""}


def _rows(log: Log, bundle: int) -> Iterator[Row]:
    start = bundle * TILE_WIDTH
    return (row_of(index, leaf) for index, leaf in enumerate(log.leaves(start, start + TILE_WIDTH), start))


def prune(
    ledger: Ledger, retention: Retention, holds: Holds, *, dry_run: bool = False, time: int | None = None
) -> Outcome:
    """Let go of what has been kept long enough.

    Args:
        ledger: Open to write.
        retention: How long entries are kept.
        holds: Returns the runs under a legal hold.
        dry_run: Only say what would be done.
        time: Stands in the entry, nanoseconds since the Unix epoch.

    Raises:
        LedgerError: The ledger can't be read or written; what was not done is done the next time.
    """
    log = ledger.log
    if not dry_run:
        ledger.turn_epoch()
        finish_pruning(ledger, holds)
    plan = plan_pruning(ledger, retention, holds)
    if dry_run or not plan.bundles:
        return Outcome(plan, left=len(_Waiting.read(log).bundles))
    before = log.pruning
    minimum = max((plan.bundles[-1] + 1) * TILE_WIDTH, before.minimum if before else 0)
    now = time if time is not None else int(ledger.now() * _NANO)
    detail = {
        "minimum": str(minimum),
        "bundles": encode_ranges(plan.bundles),
        "epoch": plan.epoch,
        "entries": str(plan.entries),
        "retention": str(retention),
    }
    (index,) = append_once(log, [Entry(kind=Kind.PRUNED, start=now, end=now, detail=detail)])
    checkpoint = ledger.publish()
    path = tuple(log.inclusion_proof(index, checkpoint.size))
    proof = TlogProof(index, path, checkpoint.note, log.leaf(index)).encode()
    stated = parse_pruning(proof)
    if before is None or before.index < index:
        log.keep(PRUNED, proof)
    removed, left = _remove(ledger, stated, [*_Waiting.read(log).bundles, *stated.bundles], holds)
    return Outcome(plan, index, removed, left)


def finish_pruning(ledger: Ledger, holds: Holds) -> tuple[int, int]:
    """Remove what the log states to have let go of and what is there still.

    Returns:
        How many bundles were removed, and how many could not be.

    Raises:
        LedgerError: The ledger can't be read or written.
    """
    pruning = ledger.log.pruning
    if pruning is None:
        return 0, 0
    waiting = _Waiting.read(ledger.log)
    bundles = list(waiting.bundles)
    if waiting.statement < pruning.index:  # a crash came between the statement and this
        bundles += pruning.bundles
    return _remove(ledger, pruning, bundles, holds) if bundles else (0, 0)


def _remove(ledger: Ledger, pruning: Pruning, bundles: Iterable[int], holds: Holds) -> tuple[int, int]:
    log = ledger.log
    wanted = sorted(bundle for bundle in set(bundles) if pruning.covers(bundle))
    _Waiting(pruning.index, wanted).write(log)
    left: list[int] = []
    gone: list[int] = []
    held = holds(ledger) if wanted else set[str]()
    for start in range(0, len(wanted), _BATCH):
        batch = [bundle for bundle in wanted[start : start + _BATCH] if not _is_held(log, bundle, held)]
        names = {str(TilePath(None, bundle)): bundle for bundle in batch}
        locked = log.remove(list(names))
        left += (names[name] for name in locked)
        gone += (bundle for name, bundle in names.items() if name not in locked)
    _Waiting(pruning.index, left).write(log)
    if gone:
        with contextlib.suppress(RunIndexError):  # whoever asks it notices what is gone
            ledger.forget(gone)
    if left:
        _log.warning(
            "%d entry bundles of the ledger in %s that entry %d states as pruned can't be removed yet; it is tried again",
            len(left),
            log.where,
            pruning.index,
        )
    return len(gone), len(left)


def _is_held(log: Log, bundle: int, held: set[str]) -> bool:
    """Return whether a run of a bundle was placed under a hold after the bundle was stated as pruned."""
    if not held:
        return False
    try:
        runs = {row.run for row in _rows(log, bundle)}
    except Pruned:  # it is gone
        return False
    return not held.isdisjoint(runs)


@dataclass(frozen=True)
class _Waiting:
    """What is to be removed still.

    Attributes:
        statement: Index of the newest entry that was taken into account.
        bundles: Numbers of entry bundles.
    """

    statement: int = -1
    bundles: Sequence[int] = ()

    @classmethod
    def read(cls, log: Log) -> _Waiting:
        """Read what is kept beside a log; what can't be read is nothing, and found anew."""
        try:
            kept = json.loads(log.objects.read(PRUNING) or b"{}")
            ranges = decode_ranges(str(kept.get("bundles", "")))
            return cls(int(kept.get("statement", -1)), [number for each in ranges for number in each])
        except (ValueError, TypeError, AttributeError, MalformedError):
            return cls()

    def write(self, log: Log) -> None:
        """Keep it beside the log."""
        kept = {"statement": self.statement, "bundles": encode_ranges(self.bundles)}
        log.keep(PRUNING, json.dumps(kept).encode())
