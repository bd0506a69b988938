# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The checker: takes records in any order, and says at the end what only all of them together show."""

from collections.abc import Iterable, Iterator
from contextlib import closing

from runrecord.semconv.conformance._across import Across
from runrecord.semconv.conformance._judge import Judge
from runrecord.semconv.conformance._metrics import judge_metric
from runrecord.semconv.conformance._tables import Tables
from runrecord.semconv.conformance.findings import Finding, of_record
from runrecord.semconv.conformance.records import LogRecord, Record, SpanRecord
from runrecord.semconv.registry import Registry, load_registry

__all__ = ["Checker", "check"]


class Checker:
    """Checks a stream of records in bounded memory.

    Args:
        registry: the conventions; those that come with the package by default.
        payload_free: content is a violation wherever it is. Without it, content that may be switched on is information.
        partial: the input is known to be a part of what was recorded; what is missing in it is information only.

    Example:
        >>> checker = Checker()
        >>> record = SpanRecord("verify totals", "internal", {"runrecord.verification.type": "hunch"})
        >>> [finding.rule for finding in checker.add(record)][:1]
        ['unknown-member']
        >>> list(checker.finish())
        []
    """

    def __init__(
        self, registry: Registry | None = None, *, payload_free: bool = False, partial: bool = False
    ) -> None:
        self._tables = Tables(registry if registry is not None else load_registry())
        self._judge = Judge(self._tables, payload_free=payload_free)
        self._across = Across(partial=partial)
        self.records = 0
        """How many records were checked."""
        self.governed = 0
        """How many of them are records of ours or of a team's registry."""

    def add(self, record: Record) -> Iterable[Finding]:
        """Check one record by itself, and keep of it what :meth:`finish` needs."""
        self.records += 1
        if isinstance(record, SpanRecord):
            table, problems = self._judge.span(record)
        elif isinstance(record, LogRecord):
            table, problems = self._judge.log(record)
        else:
            return [of_record(problem, record.name, record) for problem in judge_metric(self._tables, record)]
        if table is not None and table.governed and table.counted:
            self.governed += 1
            self._across.add(table, record)
        if not problems:
            return ()
        signal = table.id if table is not None else ""
        return [of_record(problem, signal, record) for problem in problems]

    def finish(self) -> Iterator[Finding]:
        """Judge what only all records together show. The checker is empty afterwards."""
        try:
            yield from self._across.judge()
        finally:
            self._across.close()

    def close(self) -> None:
        """Drop what is kept, without judging it."""
        self._across.close()


def check(
    records: Iterable[Record],
    registry: Registry | None = None,
    *,
    payload_free: bool = False,
    partial: bool = False,
) -> Iterator[Finding]:
    """Check records one after the other and then together.

    Args:
        records: spans, log records and metrics in any order.
        registry: see :class:`Checker`, as the others.
        payload_free: see there.
        partial: see there.
    """
    with closing(Checker(registry, payload_free=payload_free, partial=partial)) as checker:
        for record in records:
            yield from checker.add(record)
        yield from checker.finish()
