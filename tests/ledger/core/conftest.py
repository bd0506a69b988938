# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Fixed keys, logs of given sizes, and processes that die."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runrecord.ledger import Log, NoteSigner

ORIGIN = "example.com/agents"


def items(start: int, end: int) -> list[tuple[bytes, bytes]]:
    """Return keys and leaves number ``start..end``; leaves are of many lengths."""
    return [(b"key %d" % i, b"leaf %d " % i + b"x" * (i % 37)) for i in range(start, end)]


@pytest.fixture(name="items")
def items_fixture() -> Callable[[int, int], list[tuple[bytes, bytes]]]:
    return items


@pytest.fixture
def signer() -> NoteSigner:
    return NoteSigner(ORIGIN, bytes(range(32)))


@pytest.fixture
def open_log(tmp_path: Path, signer: NoteSigner) -> Iterator[Callable[..., Log]]:
    """Open logs that publish only when told to, and close them after the test."""
    opened: list[Log] = []

    def open_it(path: Path = tmp_path / "log", **options: object) -> Log:
        arguments = {"signer": signer, "checkpoint_interval": None, **options}
        opened.append(Log.open(path, **arguments))  # type: ignore[arg-type]
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


@pytest.fixture
def in_child() -> Callable[[Callable[[], None]], int]:
    """Run a function in a forked child that ends without any clean-up; return its exit status, negative for a signal."""

    def run(work: Callable[[], None]) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # threads that other tests left; the child uses none
            child = os.fork()
        if child == 0:
            gc.disable()  # a gRPC server that another test left would wait here for its threads, which did not survive the fork
            try:
                work()
            except BaseException:  # noqa: BLE001 - the parent reads the status
                os._exit(70)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    return run
