# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What only several records together can break: runs, counters, approvals, ids that must be unique.

Bounded memory: what the rules need of each governed record goes into a private temporary SQLite database, whose cache is
limited and which spills to disk; SQLite deletes it when it is closed. A record may come twice, as an exporter that tries
again sends it twice: the same span counts once. The rules are judged at the end, in the order of first appearance.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from runrecord.semconv import attributes as a
from runrecord.semconv.conformance._tables import Table
from runrecord.semconv.conformance._values import plain
from runrecord.semconv.conformance.findings import Finding, Problem, Subject, found, printable
from runrecord.semconv.conformance.records import LogRecord, Place, SpanRecord
from runrecord.semconv.conformance.rules import Severity

__all__ = ["Across"]

_CACHE_KIB: Final = 8_192
_BATCH: Final = 512
_LENGTH: Final = 256
_RUNS: Final = ("runrecord.run.agent", "runrecord.run.workflow")
_DECISIONS: Final = ("runrecord.policy_decision", "runrecord.approval_request", "runrecord.approval_decision")
_SCHEMA: Final = """
CREATE TABLE records (signal, run, source, seq, form, name, trace, span, file, line, offset, id, digest, modified,
    status, request_trace, request_span, segment, said);
"""
_COLUMNS: Final = 19
_INDICES: Final = """
CREATE INDEX by_run ON records (run, source, seq, trace, span);
CREATE INDEX by_id ON records (id, signal);
CREATE INDEX by_span ON records (span, trace);
"""
_SUBJECT: Final = "form, name, trace, span, file, line, offset, signal"
_WIDER: Final = frozenset({"session", "always"})
"""Scopes of an answer that holds for more than what was shown."""


class Across:
    """Keeps what the rules across records need, and judges them at the end.

    Args:
        partial: the input is known to be a part, so that what is missing in it is information only.
    """

    def __init__(self, *, partial: bool) -> None:
        self._missing = Severity.INFORMATION if partial else None
        self._rows: list[tuple[Any, ...]] = []
        self._data: sqlite3.Connection | None = None

    def add(self, table: Table, record: SpanRecord | LogRecord) -> None:
        """Keep a governed record."""
        get = record.attributes.get
        run = get(a.RUN_ID)
        if not isinstance(run, str):
            return  # missing-required or wrong-type says so already
        signal, place = table.id, record.place
        source, seq = get(a.SOURCE_ID), get(a.RECORD_SEQ)
        said = get(a.RUN_RECORDS)  # on run spans, and on an answer that is recorded between two segments
        identity = digest = segment = request_trace = request_span = modified = status = None
        if signal in _RUNS or signal.startswith("runrecord.run.") or signal == "runrecord.source.closed":
            segment, status = get(a.RUN_SEGMENT), get(a.RUN_OUTCOME)
        elif a.DECISION_ID in record.attributes:
            identity, status = get(a.DECISION_ID), get(a.DECISION_OUTCOME)
        elif a.APPROVAL_ID in record.attributes:
            identity, status = get(a.APPROVAL_ID), get(a.APPROVAL_STATUS)
            if get(a.APPROVAL_SCOPE) not in _WIDER:  # else it is for calls with other arguments, too
                digest = get(a.APPROVAL_SUBJECT_DIGEST) or get(a.ARGUMENTS_DIGEST)
                modified = get(a.APPROVAL_SUBJECT_MODIFIED_DIGEST)
            request_trace, request_span = get(a.APPROVAL_REQUEST_TRACE_ID), get(a.APPROVAL_REQUEST_SPAN_ID)
        self._rows.append(
            (
                signal,
                _clipped(run),
                _text(source),
                seq if type(seq) is int and seq >> 63 == 0 else None,
                "span" if isinstance(record, SpanRecord) else "event",
                _clipped(record.name),
                record.trace_id,
                record.span_id,
                place.source if place.source.isascii() else _clipped(place.source),
                place.line,
                place.offset,
                _text(identity),
                _text(digest),
                _text(modified),
                _text(status),
                _text(request_trace),
                _text(request_span),
                segment if type(segment) is int and segment >> 63 == 0 else None,
                said if type(said) is int and said >> 31 == 0 else None,
            )
        )
        if len(self._rows) >= _BATCH:
            self._flush()

    def _flush(self) -> sqlite3.Connection:
        if self._data is None:
            # An empty name: a private file that SQLite deletes itself. Nothing needs to survive a crash.
            self._data = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._data.executescript(
                f"PRAGMA cache_size=-{_CACHE_KIB};PRAGMA temp_store=FILE;PRAGMA journal_mode=OFF;"
                f"PRAGMA synchronous=OFF;{_SCHEMA}"
            )
        if self._rows:
            places = ",".join("?" * _COLUMNS)
            self._data.execute("BEGIN")
            self._data.executemany(f"INSERT INTO records VALUES ({places})", self._rows)  # noqa: S608
            self._data.execute("COMMIT")
            self._rows.clear()
        return self._data

    def close(self) -> None:
        """Drop everything."""
        self._rows.clear()
        if self._data is not None:
            self._data.close()
            self._data = None

    def judge(self) -> Iterator[Finding]:
        """Judge everything that was added."""
        if self._data is None and not self._rows:
            return
        data = self._flush()
        data.executescript(_INDICES)
        yield from self._runs(data)
        yield from self._counters(data)
        yield from self._ids(data)
        yield from self._requests(data)
        yield from self._digests(data)
        yield from self._events(data)

    def _runs(self, data: sqlite3.Connection) -> Iterator[Finding]:
        marks = ",".join(f"'{signal}'" for signal in _DECISIONS)
        for rule, is_decision in (("decision-without-run", ""), ("record-without-run", "NOT ")):
            for count, *row in data.execute(
                f"""SELECT count(DISTINCT trace || span), {_SUBJECT}, min(rowid) AS first FROM records AS r
                WHERE form = 'span' AND signal {is_decision}IN ({marks}) AND NOT EXISTS (
                    SELECT 1 FROM records WHERE run = r.run AND signal IN ('{_RUNS[0]}', '{_RUNS[1]}'))
                GROUP BY run ORDER BY first"""  # noqa: S608 - constants only
            ):
                many = f", and so have {count - 1} more records of it" if count > 1 else ""
                text = f"no run span in the input has the run id that it names{many}"
                yield self._finding(rule, text, row, a.RUN_ID, count=count, severity=self._missing)

    def _counters(self, data: sqlite3.Connection) -> Iterator[Finding]:
        for row in data.execute(
            f"""SELECT {_SUBJECT}, min(rowid) FROM records WHERE form = 'span' AND seq IS NOT NULL
            GROUP BY run, source, seq HAVING count(DISTINCT trace || span) > 1 ORDER BY min(rowid)"""  # noqa: S608
        ):
            text = f"another record of this source and run has the same {a.RECORD_SEQ}"
            yield self._finding("duplicate-number", text, list(row), a.RECORD_SEQ)
        for run, got, top, said, *row in data.execute(
            f"""SELECT run, count(DISTINCT seq), max(seq), (
                SELECT sum(said) FROM (SELECT DISTINCT trace, span, said FROM records
                    WHERE run = r.run AND source = r.source AND form = 'span' AND said IS NOT NULL)),
                {_SUBJECT}, min(rowid)
            FROM records AS r WHERE form = 'span' AND seq IS NOT NULL AND EXISTS (
                SELECT 1 FROM records WHERE run = r.run AND signal IN ('{_RUNS[0]}', '{_RUNS[1]}'))
            GROUP BY run, source ORDER BY min(rowid)"""  # noqa: S608
        ):
            where = Subject("run", printable(run), row[2], row[3], Place(row[4], row[5], row[6]))
            if said is not None and got > said:
                text = f"the spans of a source say {said} records, and there are {got}"
                yield found(Problem("uncounted-records", text, a.RUN_RECORDS), row[7], where)
            elif max(top + 1, said or 0) > got:
                wanted = max(top + 1, said or 0)
                text = f"of {wanted} records of a source {wanted - got} are not in the input"
                problem = Problem("missing-records", text, a.RECORD_SEQ, self._missing)
                yield found(problem, row[7], where, count=wanted - got)

    def _ids(self, data: sqlite3.Connection) -> Iterator[Finding]:
        unique = "'runrecord.policy_decision', 'runrecord.approval_request'"
        for row in data.execute(
            f"""SELECT {_SUBJECT}, min(rowid) FROM records WHERE signal IN ({unique}) AND id IS NOT NULL
            GROUP BY id, signal HAVING count(DISTINCT trace || span) > 1 ORDER BY min(rowid)"""  # noqa: S608
        ):
            key = a.DECISION_ID if row[7] == "runrecord.policy_decision" else a.APPROVAL_ID
            yield self._finding("duplicate-id", f"another span has the same {key}", list(row), key)
        for row in data.execute(
            f"""SELECT {_SUBJECT}, min(rowid) FROM records WHERE signal IN ('{_RUNS[0]}', '{_RUNS[1]}')
            AND segment IS NOT NULL GROUP BY run, segment HAVING count(DISTINCT trace || span) > 1
            ORDER BY min(rowid)"""  # noqa: S608
        ):
            text = f"another run span has the same {a.RUN_ID} and {a.RUN_SEGMENT}"
            # A process that resumes a run of which nothing is stored can't know how many segments there were.
            yield self._finding("duplicate-id", text, list(row), a.RUN_SEGMENT, severity=Severity.IMPROVEMENT)

    def _requests(self, data: sqlite3.Connection) -> Iterator[Finding]:
        for request_trace, request_span, *row in data.execute(
            f"""SELECT request_trace, request_span, {_SUBJECT}, min(rowid) FROM records AS r
            WHERE signal = 'runrecord.approval_decision' AND id IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM records WHERE id = r.id AND signal = 'runrecord.approval_request')
            GROUP BY id ORDER BY min(rowid)"""  # noqa: S608
        ):
            text = f"no request in the input has its {a.APPROVAL_ID}"
            severity = self._missing
            if request_trace and request_span:
                text += "; it names a span that may be in what another process sent"
                severity = Severity.INFORMATION
            yield self._finding("decision-without-request", text, row, a.APPROVAL_ID, severity=severity)
        for row in data.execute(
            f"""SELECT {_SUBJECT}, rowid FROM records AS r
            WHERE signal = 'runrecord.approval_decision' AND request_span IS NOT NULL AND (
                EXISTS (SELECT 1 FROM records WHERE span = r.request_span AND trace = r.request_trace
                    AND form = 'span' AND NOT (signal = 'runrecord.approval_request' AND id = r.id))
                OR (EXISTS (SELECT 1 FROM records WHERE id = r.id AND signal = 'runrecord.approval_request')
                    AND NOT EXISTS (SELECT 1 FROM records WHERE id = r.id AND span = r.request_span
                        AND trace = r.request_trace AND signal = 'runrecord.approval_request')))
            GROUP BY trace, span ORDER BY rowid"""  # noqa: S608
        ):
            text = "the span that it names as its request is not the request for this approval"
            yield self._finding("request-mismatch", text, list(row), a.APPROVAL_REQUEST_SPAN_ID)

    def _digests(self, data: sqlite3.Connection) -> Iterator[Finding]:
        """Compare commitments inside one run only: each run has a key of its own."""
        for row in data.execute(
            f"""SELECT {_SUBJECT}, rowid FROM records AS r
            WHERE signal = 'runrecord.approval_decision' AND digest IS NOT NULL AND EXISTS (
                SELECT 1 FROM records WHERE id = r.id AND run = r.run AND digest IS NOT NULL
                AND signal = 'runrecord.approval_request')
            AND NOT EXISTS (SELECT 1 FROM records WHERE id = r.id AND run = r.run AND digest = r.digest
                AND signal = 'runrecord.approval_request') GROUP BY trace, span ORDER BY rowid"""  # noqa: S608
        ):
            key = a.APPROVAL_SUBJECT_DIGEST
            yield self._finding("subject-digest-differs", f"{key} is not that of the request", list(row), key)
        for row in data.execute(
            f"""SELECT {_SUBJECT}, rowid FROM records AS r
            WHERE signal = 'runrecord.tool_call' AND digest IS NOT NULL AND EXISTS (
                SELECT 1 FROM records WHERE id = r.id AND run = r.run AND signal = 'runrecord.approval_decision'
                AND status IN ('approved', 'modified') AND coalesce(modified, digest) IS NOT NULL)
            AND NOT EXISTS (SELECT 1 FROM records WHERE id = r.id AND run = r.run
                AND signal = 'runrecord.approval_decision' AND (status = 'approved' AND (digest = r.digest OR digest IS NULL)
                    OR status = 'modified' AND (modified = r.digest OR modified IS NULL)))
            GROUP BY trace, span ORDER BY rowid"""  # noqa: S608
        ):
            text = f"{a.ARGUMENTS_DIGEST} is not that of what was approved"
            yield self._finding("subject-digest-differs", text, list(row), a.ARGUMENTS_DIGEST)

    def _events(self, data: sqlite3.Connection) -> Iterator[Finding]:
        pairs = (
            ("runrecord.policy.decided", "'runrecord.policy_decision'", "id", "status", a.DECISION_OUTCOME),
            (
                "runrecord.approval.decided",
                "'runrecord.approval_decision'",
                "id",
                "status",
                a.APPROVAL_STATUS,
            ),
            ("runrecord.run.closed", f"'{_RUNS[0]}', '{_RUNS[1]}'", "span", "said", a.RUN_RECORDS),
            ("runrecord.run.closed", f"'{_RUNS[0]}', '{_RUNS[1]}'", "span", "status", a.RUN_OUTCOME),
            ("runrecord.source.closed", f"'{_RUNS[0]}', '{_RUNS[1]}'", "span", "said", a.RUN_RECORDS),
        )
        for event, spans, join, column, key in pairs:
            for row in data.execute(
                f"""SELECT {_SUBJECT}, rowid FROM records AS r WHERE signal = '{event}' AND {column} IS NOT NULL
                AND EXISTS (SELECT 1 FROM records WHERE {join} = r.{join} AND trace = r.trace
                    AND signal IN ({spans}) AND {column} IS NOT NULL)
                AND NOT EXISTS (SELECT 1 FROM records WHERE {join} = r.{join} AND trace = r.trace
                    AND signal IN ({spans}) AND {column} IS r.{column}) ORDER BY rowid"""  # noqa: S608
            ):
                yield self._finding("event-differs", f"the span says another {key}", list(row), key)

    def _finding(
        self,
        rule: str,
        message: str,
        row: list[Any],
        attribute: str,
        *,
        count: int = 1,
        severity: Severity | None = None,
    ) -> Finding:
        form, name, trace, span, file, line, offset, signal = row[:8]
        subject = Subject(form, printable(name), trace, span, Place(file, line, offset))
        return found(Problem(rule, message, attribute, severity), signal, subject, count=count)


def _text(value: object) -> str | None:
    if value is None:
        return None
    value = plain(value)
    return _clipped(value) if isinstance(value, str) else None


def _clipped(text: str) -> str:
    """Clip a text, and replace lone surrogates, which SQLite can't store."""
    text = text[:_LENGTH]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
