# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The story of a log that the disk fails, and what must hold afterwards."""

from __future__ import annotations

import functools
import gc
import os
import pickle
import random
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from hashlib import sha256
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest
from power_loss import State
from recorded_disk import Disk, Fault, Rename, Told, Write

from runrecord.ledger import Log, NoteSigner, fsck
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.stores import directory as directory_store
from runrecord.ledger.wal import WriteAheadLog

ROUNDS = int(os.environ.get("RUNRECORD_TEST_ROUNDS", "0"))
"""How many random rounds to go; 0 for the small share of an ordinary run."""
SEED = int(os.environ.get("RUNRECORD_TEST_SEED", "0"))
"""The seed of the first round; a failure names the one that it needs."""

STEPS = ((0, 3), (3, 5), (5, 300), (300, 302))
END = 305


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Many files are read and synced: on a machine that others share, that takes long."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(7200 if ROUNDS else 600))


class FaultySigner(NoteSigner):
    """A log key that is a point where a fault may strike."""

    disk: Disk | None = None

    def sign(self, text: bytes):
        if self.disk is not None:
            self.disk.point("sign", RuntimeError)  # whatever the client of a key service may raise
        return super().sign(text)


class Story:
    """A log with a fixed history: what is appended is known from the index alone."""

    def __init__(self, signer: FaultySigner) -> None:
        self.signer = signer

    def items(self, start: int, end: int) -> list[tuple[bytes, bytes]]:
        return [(b"key %d" % i, b"leaf %d " % i + b"x" * (i % 37)) for i in range(start, end)]

    def open(self, path: Path, **options) -> Log:
        arguments = {"signer": self.signer, "checkpoint_interval": None, "key_of": key_of, **options}
        return Log.open(path, **arguments)

    def tell(self, disk: Disk) -> None:
        """Make a log, cross the borders of segments and tiles, publish, close it, and open it again."""
        self.signer.disk = disk
        path = disk.root / "log"
        log = self.open(path)
        for start, end in STEPS:
            log.append(self.items(start, end))
            disk.told("acknowledged", end)
            log.publish()
        log.append(self.items(302, END - 1))
        disk.told("acknowledged", END - 1)
        log.close()
        log = self.open(path)
        log.append(self.items(END - 1, END))
        disk.told("acknowledged", END)

    def go_on(self, disk: Disk) -> None:
        """What a process does that comes after one that was killed: it sends again what it has no answer to."""
        self.signer.disk = disk
        log = self.open(disk.root / "log")
        size = log.size
        log.append(self.items(0, size))
        disk.told("acknowledged", size)
        log.append(self.items(size, size + 2))
        disk.told("acknowledged", size + 2)
        log.close()

    def recovered_size(self, path: Path) -> int:
        """Open what a crash left; return how many entries there were, once it is sure that they are right and that the log goes on."""
        self.signer.disk = None
        log = self.open(path)
        try:
            size = log.size
            assert list(log.leaves()) == [leaf for _, leaf in self.items(0, size)]
            results = log.append(self.items(0, size + 3))
            assert [each.index for each in results] == [*range(size + 3)]
            assert [each.status for each in results] == ["duplicate"] * size + ["new"] * 3
            assert log.publish().root == self.root(size + 3)
        finally:
            log.close()
        report = fsck(path, self.signer.verifier)
        assert (report.problems, report.entries, report.beyond) == ([], size + 3, 0)
        with Log.open(path, read_only=True, verifiers=[self.signer.verifier]) as reader:
            assert list(reader.leaves()) == [leaf for _, leaf in self.items(0, size + 3)]
        return size

    def root(self, size: int) -> bytes:
        """Return the root of the first entries, by the definition of RFC 6962."""
        return self._root(0, size)

    @functools.lru_cache  # noqa: B019 - a story lives as long as its test
    def _root(self, start: int, end: int) -> bytes:
        if end - start <= 1:
            return sha256(b"".join(b"\0" + leaf for _, leaf in self.items(start, end))).digest()
        split = start + (1 << (end - start - 1).bit_length() - 1)
        return sha256(b"\1" + self._root(start, split) + self._root(split, end)).digest()

    def require_kept(self, size: int, events) -> None:
        """What was acknowledged, or stood in a checkpoint that anybody could read, is among the first ``size`` entries."""
        told = [event.value for event in events if isinstance(event, Told) and event.what == "acknowledged"]
        visible = visible_checkpoints(events)
        assert size >= max([0, *told, *(each.size for each in visible)])
        assert all(each.root == self.root(each.size) for each in visible)


def visible_checkpoints(events) -> list[Checkpoint]:
    """Return all checkpoints that anybody could read at some time."""
    contents: dict[int, bytes] = {}
    found = []
    for event in events:
        if isinstance(event, Write):
            contents[event.file] = contents.get(event.file, b"") + event.data
        elif isinstance(event, Rename) and event.target == "log/checkpoint":
            found.append(Checkpoint.parse(contents[event.file]))
    return found


def key_of(leaf: bytes) -> bytes:
    return b"key " + leaf.split(b" ")[1]


@pytest.fixture
def story() -> Story:
    return Story(FaultySigner("example.com/agents", bytes(range(32))))


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory that no real power loss threatens: a sync costs nothing there."""
    place = tempfile.mkdtemp(prefix="runrecord-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    yield Path(place)
    shutil.rmtree(place)


@pytest.fixture
def require_whole(story: Story, memory: Path):
    """Put a state on a disk, open it, and see that nothing acknowledged is lost, nothing forks, nothing is logged twice."""
    sizes: dict[bytes, int] = {}

    def require(state: State, events, why: object) -> None:
        digest = state.digest()
        try:
            if digest not in sizes:
                place = memory / "state"
                place.mkdir()
                state.write(place)
                sizes[digest] = story.recovered_size(place / "log")
                shutil.rmtree(place)
            story.require_kept(sizes[digest], events)
        except BaseException as error:
            shutil.rmtree(memory / "state", ignore_errors=True)
            raise AssertionError(
                f"{why}: after {len(events)} events, the last {events[-1:]!r:.200}: {state.how}"
            ) from error

    require.states = sizes
    return require


def fork(work) -> int:
    """Run a function in a child that ends without any clean-up; return its process id."""
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
            traceback.print_exc()
            os._exit(70)
        os._exit(0)
    return child


@pytest.fixture
def killed(memory: Path):
    """Let a process work on a disk until a fault kills it; return what it has done."""

    def kill(disk: Disk, moment: int, work, kinds=None) -> Disk:
        log = memory / "record"
        disk.fault = Fault(moment, log=log, kinds=kinds)

        def recorded() -> None:
            with disk.recording():
                work(disk)
            log.write_bytes(pickle.dumps((disk.events, disk.fault.count)))

        status = os.waitstatus_to_exitcode(os.waitpid(fork(recorded), 0)[1])
        assert status in {0, -signal.SIGKILL}
        events, count = pickle.loads(log.read_bytes())
        return Disk(disk.root, events, Fault(count=count, struck="kill" if status else ""))

    return kill


@pytest.fixture
def in_background():
    """Start a process that runs ``work(pipe)``; return its id and the reading end of the pipe."""

    def start(work) -> tuple[int, int]:
        reading, writing = os.pipe()
        child = fork(lambda: work(writing))
        os.close(writing)
        return child, reading

    return start


@pytest.fixture(scope="session")
def builders() -> ModuleType:
    """The builders of runs."""
    path = Path(__file__).parents[1] / "meaning" / "conftest.py"
    spec = util.spec_from_file_location("harness_builders", path)
    assert spec
    assert spec.loader
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a short history has several."""
    monkeypatch.setattr(directory_store, "WriteAheadLog", functools.partial(WriteAheadLog, segment_size=600))


@pytest.fixture
def rounds():
    """The random rounds that a test goes: ``rounds(few, share)`` yields a seed and its generator for each."""

    def make(few: int, share: float = 1.0):
        for seed in range(SEED, SEED + (round(ROUNDS * share) or few)):
            yield seed, random.Random(seed)

    make.full = ROUNDS > 0
    return make
