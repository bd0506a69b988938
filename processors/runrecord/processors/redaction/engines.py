# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The engines that look for all seeds in a serialised request at once; what they point at is the same."""

from __future__ import annotations

import hashlib
import importlib
import re
import threading
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

from runrecord.processors.errors import EngineUnavailableError
from runrecord.processors.redaction.leaf import ANY
from runrecord.processors.redaction.seeds import alternatives, has_capitals, has_literal
from runrecord.processors.redaction.walker import Hit

ENGINES = ("hyperscan", "re2", "stdlib")
_RE2_GROUP = 96  # an alternation is as fast as Hyperscan up to here, and collapses at some hundreds (247 seeds: 0.1 MB/s)
_NARROW_BUDGET = 2048
_SLOW = 50e6  # bytes per second; some hyperscan wheels are built without vector instructions
_SAMPLE = b'\x0a\x18{"role": "user", "content": "The order 4711 of 2024-05-17 costs 12.50 EUR, see https://example.org/a?b=1"}'


class Scanner(Protocol):
    """Finds seeds in a request."""

    @property
    def name(self) -> str:
        """The engine's name."""
        ...

    def scan(self, body: bytes, budget: int) -> list[Hit] | None:
        """Find the seeds.

        Args:
            body: The serialised request.
            budget: How many hits to report at most.

        Returns:
            Sorted hits; None if there are more than the budget.
        """
        ...

    def narrow(self, text: bytes) -> set[int] | None:
        """Which seeds are in a text; None if the engine cannot tell faster than the exact rules would."""
        ...


class HyperscanScanner:
    """Hyperscan (Vectorscan): seeds that hold a literal by their literals, the others by automata, in a pass each.

    In one database the ones slow the others down, and capital letters slow down digits: three passes are nearly twice
    as fast as one.
    """

    name = "hyperscan"

    def __init__(self, seeds: Sequence[str]) -> None:
        self._hyperscan: Any = _module("hyperscan")
        self._databases: tuple[Any, ...] = _hyperscan_databases(tuple(seeds))
        self._local = threading.local()

    def scan(self, body: bytes, budget: int) -> list[Hit] | None:
        """Find the seeds; see :class:`Scanner`."""
        scratch = getattr(self._local, "scratch", None)
        if scratch is None:  # scratch space must not be shared between threads
            scratch = self._local.scratch = [self._hyperscan.Scratch(each) for each in self._databases]
        hits: list[Hit] = []

        def report(order: int, _start: int, end: int, _flags: int, _context: object) -> bool | None:
            hits.append(Hit(end - 1, order))
            return True if len(hits) > budget else None

        try:
            for database, space in zip(self._databases, scratch, strict=True):
                database.scan(body, match_event_handler=report, scratch=space)
        except self._hyperscan.ScanTerminated:
            return None
        if len(hits) > budget:
            return None
        hits.sort()
        return hits

    def narrow(self, text: bytes) -> set[int] | None:
        """Which seeds are in a text; see :class:`Scanner`."""
        hits = self.scan(text, _NARROW_BUDGET)
        return None if hits is None else {hit.order for hit in hits}

    def is_slow(self) -> bool:
        """Whether this wheel is one of those that run at a sixtieth of the speed (5 ms of measuring)."""
        sample = _SAMPLE * (256 * 1024 // len(_SAMPLE))
        self.scan(_SAMPLE, 1 << 30)
        begin = time.thread_time()
        self.scan(sample, 1 << 30)
        spent = time.thread_time() - begin
        return spent > len(sample) / _SLOW


class Re2Scanner:
    """RE2: alternations of some seeds each, searched again from the byte behind each beginning so that no hit hides another."""

    name = "re2"

    def __init__(self, seeds: Sequence[str]) -> None:
        self._groups = [
            _re2_patterns(tuple(seeds[first : first + _RE2_GROUP]))
            for first in range(0, len(seeds), _RE2_GROUP)
        ]

    def scan(self, body: bytes, budget: int) -> list[Hit] | None:
        """Find the seeds; see :class:`Scanner`."""
        hits: list[Hit] = []
        for pattern, _ in self._groups:
            found = _search_all(pattern.search, body, ANY, budget - len(hits))
            if found is None:
                return None
            hits += found
        hits.sort()
        return hits

    def narrow(self, text: bytes) -> set[int] | None:
        """Which seeds are in a text; see :class:`Scanner`."""
        return {
            number * _RE2_GROUP + order
            for number, (_, one_by_one) in enumerate(self._groups)
            for order in one_by_one.Match(text) or ()
        }


class StdlibScanner:
    """The standard library: a keyword test, then one regex after the other."""

    name = "stdlib"

    def __init__(self, seeds: Sequence[str], keywords: Sequence[tuple[bytes, ...]] = ()) -> None:
        self._seeds = [re.compile(seed.encode("latin-1"), re.DOTALL) for seed in seeds]
        self._keywords = [*keywords, *[()] * (len(seeds) - len(keywords))]

    def scan(self, body: bytes, budget: int) -> list[Hit] | None:
        """Find the seeds; see :class:`Scanner`."""
        lowered = body.lower()
        hits: list[Hit] = []
        for order, (seed, keywords) in enumerate(zip(self._seeds, self._keywords, strict=True)):
            if keywords and not any(word in lowered for word in keywords):
                continue
            found = _search_all(seed.search, body, order, budget - len(hits))
            if found is None:
                return None
            hits += found
        hits.sort()
        return hits

    def narrow(self, text: bytes) -> set[int] | None:  # noqa: ARG002
        """The exact rules' own keyword test is as good; see :class:`Scanner`."""
        return None


def _search_all(search: Any, body: bytes, order: int, budget: int) -> list[Hit] | None:
    hits: list[Hit] = []
    position = 0
    while (found := search(body, position)) is not None:
        start, end = found.span()
        hits.append(Hit(end - 1, order))
        if order == ANY:  # another alternative may begin here and end in an earlier field
            hits.append(Hit(start, order))
        if len(hits) > budget:
            return None
        position = start + 1
    hits.sort()
    return hits


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = {"re2": "google-re2"}.get(name, name)
        raise EngineUnavailableError(
            f"engine {name} is not installed: pip install 'runrecord[redaction]' (or {package}), or use engine auto"
        ) from error


@lru_cache(maxsize=16)
def _hyperscan_databases(seeds: tuple[str, ...]) -> tuple[Any, ...]:
    hyperscan = _module("hyperscan")
    groups: dict[tuple[bool, bool], list[tuple[str, int]]] = {}
    for order, seed in enumerate(seeds):
        for expression in alternatives(seed):
            literal = has_literal(expression)
            kind = (literal, not literal and has_capitals(expression))
            groups.setdefault(kind, []).append((expression, order))
    databases: list[Any] = []
    for group in groups.values():
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        database.compile(
            expressions=[expression.encode("latin-1") for expression, _ in group],
            ids=[order for _, order in group],
            elements=len(group),
            flags=[hyperscan.HS_FLAG_DOTALL] * len(group),
        )
        databases.append(database)
    return tuple(databases)


@lru_cache(maxsize=16)
def _re2_patterns(seeds: tuple[str, ...]) -> tuple[Any, Any]:
    re2 = _module("re2")
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.dot_nl = True
    options.never_capture = True
    options.max_mem = 64 << 20
    one_by_one = re2.Set.SearchSet(options)
    for seed in seeds:
        one_by_one.Add(seed.encode("latin-1"))
    one_by_one.Compile()
    return re2.compile("|".join(f"(?:{seed})" for seed in seeds).encode("latin-1"), options), one_by_one


def make_scanner(engine: str, seeds: Sequence[str], keywords: Sequence[tuple[bytes, ...]]) -> Scanner:
    """Make the scanner of an engine.

    Args:
        engine: ``hyperscan``, ``re2``, ``stdlib``, or ``auto`` for the first of them that is there and fast.
        seeds: The seeds in order.
        keywords: For the first seeds, the lower-case texts of which one is in every match of the rule.

    Raises:
        EngineUnavailableError: The engine is unknown or not installed.
    """
    if engine == "hyperscan":
        return HyperscanScanner(seeds)
    if engine == "re2":
        return Re2Scanner(seeds)
    if engine == "stdlib":
        return StdlibScanner(seeds, keywords)
    if engine != "auto":
        raise EngineUnavailableError(f"no engine {engine!r}; there are auto, {', '.join(ENGINES)}")
    for candidate in ("hyperscan", "re2"):
        try:
            scanner = make_scanner(candidate, seeds, keywords)
        except EngineUnavailableError:
            continue
        if not isinstance(scanner, HyperscanScanner) or not scanner.is_slow():
            return scanner
    return StdlibScanner(seeds, keywords)


def digest(texts: Sequence[str]) -> str:
    """A short digest of texts in order, for the version of a set of rules."""
    state = hashlib.sha256()
    for text in texts:
        state.update(len(text).to_bytes(4, "big") + text.encode("utf-8"))
    return state.hexdigest()[:8]
