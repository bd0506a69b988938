# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Throughput of the redactor by itself, on the requests that the gateways are measured with, and on text full of numbers."""

from __future__ import annotations

import json
import random
import statistics
import time
import uuid
from typing import NamedTuple

from bench import corpus, rules
from runrecord.processors import Signal
from runrecord.processors.redaction import Redactor

_FEW, _ALL = len(rules.FEW), len(rules.FEW) + 1


class Row(NamedTuple):
    """One line of the table: medians of MB per CPU-second, in one thread."""

    traffic: str
    dirty: float
    rules: int
    scan: float
    redact: float
    spans: float
    edits: int


class NumbersCorpus(corpus.Corpus):
    """The same spans, but their text is results of tools and logs: ids, time stamps, prices, scores."""

    def __init__(self, seed: int = 7, dirty_share: float = corpus.DIRTY_SHARE) -> None:
        super().__init__(seed, dirty_share)
        self._text = _numbers(random.Random(seed), len(self._text))


def _numbers(chance: random.Random, size: int) -> str:
    lines: list[str] = []
    for _ in range(size // 300):
        second = f"2026-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}T08:{chance.randrange(60):02d}:17"
        row = {
            "order_id": chance.randrange(10**7, 10**8),
            "created_at": f"{second}.{chance.randrange(10**6):06d}Z",
            "price": round(chance.random() * 1000, 2),
            "id": str(uuid.UUID(int=chance.getrandbits(128))),
            "ts": 1_790_000_000_000 + chance.randrange(10**9),
            "score": chance.random(),
            "note": "the customer's account was checked, and the parcel has left the store",
        }
        lines.append(json.dumps(row))
        lines.append(
            f"{second} INFO worker-{chance.randrange(9)} [{chance.getrandbits(64):016x}] took "
            f"{chance.random() * 100:.3f} ms, {chance.randrange(10**6)} bytes"
        )
    return "\n".join(lines)


def measure(rounds: int, requests: int) -> tuple[float, list[Row]]:
    """Measure every combination; all rows share a process and a thread.

    Returns:
        The mean size of a request in MB, and the rows.
    """
    rows: list[Row] = []
    sizes: list[int] = []
    for traffic, kind in (("prose and code", corpus.Corpus), ("numbers", NumbersCorpus)):
        for dirty in (0.0, 0.03, 0.2):
            made = kind(dirty_share=dirty)
            bodies = [made.request() for _ in range(requests)]
            sizes += map(len, bodies)
            for number in (_FEW, _ALL):
                redactor = Redactor(rules.policy(number), key=bytes(32))
                rows.append(_row(redactor, bodies, rounds, traffic, dirty))
    return sum(sizes) / len(sizes) / 1e6, rows


def _row(redactor: Redactor, bodies: list[bytes], rounds: int, traffic: str, dirty: float) -> Row:
    megabytes = sum(map(len, bodies)) / 1e6
    scans: list[float] = []
    redactions: list[float] = []
    edits = sum(sum(redactor.redact(Signal.TRACES, body).counts.values()) for body in bodies)
    for _ in range(rounds):
        begin = time.thread_time()
        for body in bodies:
            redactor._scan(body)
        middle = time.thread_time()
        for body in bodies:
            redactor.redact(Signal.TRACES, body)
        scans.append(middle - begin)
        redactions.append(time.thread_time() - middle)
    spent = statistics.median(redactions)
    spans = len(bodies) * corpus.SPANS_PER_REQUEST / spent
    return Row(
        traffic,
        dirty,
        len(redactor.rules),
        megabytes / statistics.median(scans),
        megabytes / spent,
        spans,
        edits,
    )
