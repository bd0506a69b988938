# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a power loss may leave of what a :class:`recorded_disk.Disk` recorded.

The file system is as bad as POSIX lets it be:

- Bytes are durable once their file was synced, names once their directory was; a sync of a file does not keep its name.
- Of what was not synced, any part may be there, in any order, also across files: a write lost, whole, or torn at any byte; its
  place filled with zeros or garbage, or single sectors of it missing; a rename, link or removal done or undone.
- A rename is atomic: the target is the old file or the new one. The old name may stay beside it.
- After a sync of a file that failed, what it should have kept may be lost even if a later one succeeds, since the kernel drops what it
  could not write. (Names are journaled: where that fails, the file system takes no more of them.)

SQLite's files are as they were after any of the last changes, or cut; the ledger must do without them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath

from recorded_disk import (
    Create,
    Databases,
    Event,
    MakeDirectory,
    RemoveDirectory,
    Rename,
    Sync,
    SyncDirectory,
    Truncate,
    Unlink,
    Write,
)

SECTOR = 512

Torn = Callable[[bytes, int], bytes | None]
"""Makes of a write's bytes and offset what is there after the power loss, None for nothing."""

LOST, KEPT = 0, 2
NEW_NAME_ONLY = 1  # of a rename: both names lead to the file


@dataclass
class State:
    """What is there after a power loss.

    Attributes:
        files: The contents by path.
        directories: The paths.
        how: How it came about, for people.
    """

    files: dict[str, bytes]
    directories: set[str]
    how: str

    def digest(self) -> bytes:
        """Return what tells it from other states."""
        sum_ = sha256(repr(sorted(self.directories)).encode())
        for path, content in sorted(self.files.items()):
            sum_.update(repr((path, len(content))).encode() + content)
        return sum_.digest()

    def write(self, root: Path) -> None:
        """Put it on a real disk, into an empty directory."""
        for path in sorted(self.directories):
            (root / path).mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, content in self.files.items():
            (root / path).write_bytes(content)
            (root / path).chmod(0o600)


@dataclass
class Choice:
    """What becomes of what is not durable.

    Attributes:
        how: For people.
        names: By position of an event: ``LOST``, ``NEW_NAME_ONLY`` or ``KEPT``.
        writes: By position of a write: what is left of it.
        others: What becomes of all other events.
        databases: How many changes of SQLite's files back, and how many bytes their logs are cut by.
    """

    how: str
    names: dict[int, int] = field(default_factory=dict[int, int])
    writes: dict[int, Torn] = field(default_factory=dict[int, Torn])
    others: int = KEPT
    databases: tuple[int, int] = (0, 0)


def durable(events: Sequence[Event]) -> dict[int, int]:
    """Return what syncs have kept: by position of an event, ``KEPT``, or ``NEW_NAME_ONLY`` for half a rename."""
    kept: dict[int, int] = {}
    by_file: dict[int, list[int]] = {}
    by_directory: dict[str, list[tuple[int, int]]] = {}
    for position, event in enumerate(events):
        match event:
            case Write(file) | Truncate(file):
                by_file.setdefault(file, []).append(position)
            case Sync(file, failed):
                for each in by_file.pop(file, ()):
                    if not failed:
                        kept[each] = KEPT
            case Create(path) | Unlink(path) | MakeDirectory(path) | RemoveDirectory(path):
                by_directory.setdefault(_parent(path), []).append((position, KEPT))
            case Rename(source, target):
                by_directory.setdefault(_parent(target), []).append((position, NEW_NAME_ONLY))
                by_directory.setdefault(_parent(source), []).append((position, KEPT))
            case SyncDirectory(path, failed=False):
                for each, how in by_directory.pop(path, ()):
                    kept[each] = max(how, kept.get(each, LOST))
            case _:
                pass
    return kept


def state(events: Sequence[Event], choice: Choice, kept: dict[int, int] | None = None) -> State:
    """Return the state after a power loss."""
    certain = durable(events) if kept is None else kept
    left = _Left()
    for position, event in enumerate(events):
        torn = choice.writes.get(position) if position not in certain else None
        if isinstance(event, Write) and torn is not None:
            data = torn(event.data, event.offset)
            if data is not None:
                left.write(event.file, event.offset, data)
        elif isinstance(event, Create):
            left.contents[event.file] = bytearray()
        if fate := max(certain.get(position, LOST), choice.names.get(position, choice.others)):
            left.do_name(event, fate)
            if torn is None:
                left.do_content(event)
    files = {path: bytes(left.contents[file]) for path, file in left.names.items()}
    back, cut = choice.databases
    databases = [event for event in events if isinstance(event, Databases)]
    if len(databases) > back:
        for path, content in databases[-1 - back].files.items():
            if _parent(path) in left.directories:
                is_log = path.endswith(("-wal", "-journal"))
                files[path] = content[: max(len(content) - cut, 0)] if is_log else content
    return State(files, left.directories, choice.how)


class _Left:
    def __init__(self) -> None:
        self.contents: dict[int, bytearray] = {}
        self.names: dict[str, int] = {}
        self.directories = {"."}

    def do_content(self, event: Event) -> None:
        match event:
            case Write(file, offset, data):
                self.write(file, offset, data)
            case Truncate(file, size):
                self.write(file, size, b"")
                del self.contents[file][size:]
            case _:
                pass

    def write(self, file: int, offset: int, data: bytes) -> None:
        content = self.contents[file]
        content.extend(bytes(max(offset - len(content), 0)))
        content[offset : offset + len(data)] = data

    def do_name(self, event: Event, fate: int) -> None:
        match event:
            case Create(path, file) if _parent(path) in self.directories:
                self.names[path] = file
            case Rename(source, target, file) if _parent(target) in self.directories:
                self.names[target] = file
                if fate == KEPT and self.names.get(source) == file:
                    del self.names[source]
            case Unlink(path):
                self.names.pop(path, None)
            case MakeDirectory(path) if _parent(path) in self.directories:
                self.directories.add(path)
            case RemoveDirectory(path) if not any(
                _parent(each) == path for each in (*self.names, *self.directories)
            ):
                self.directories.discard(path)
            case _:
                pass


def everything(events: Sequence[Event]) -> State:
    """Return the state without a power loss."""
    return state(events, Choice("nothing is lost"))


def enumerated(events: Sequence[Event]) -> Iterator[State]:
    """Yield the states that each single kind of loss after the last event leaves, each once."""
    kept = durable(events)
    seen: set[bytes] = set()
    for choice in _choices(events, kept):
        found = state(events, choice, kept)
        digest = found.digest()
        if digest not in seen:
            seen.add(digest)
            yield found


def _choices(events: Sequence[Event], kept: dict[int, int]) -> Iterator[Choice]:
    open_ = _unsettled(events, kept)
    yield Choice("all of it is there")
    yield Choice("nothing but what was synced is there", others=LOST)
    for back, cut in ((1, 0), (2, 0), (10**9, 0), (0, 1), (0, 4096), (0, 10**9)):
        yield Choice(
            f"the databases are {back} changes old, and their logs cut by {cut} bytes", databases=(back, cut)
        )
    for each in open_:
        name = f"event {each}, {_short(events[each])},"
        yield Choice(f"{name} is lost", names={each: LOST})
        yield Choice(f"only {name} is there", names={each: KEPT}, others=LOST)
        event = events[each]
        if isinstance(event, Rename):
            yield Choice(f"{name} has left both names", names={each: NEW_NAME_ONLY})
            yield Choice(f"only {name} is there, with both names", names={each: NEW_NAME_ONLY}, others=LOST)
        if isinstance(event, Write):
            for how, torn in _tears(len(event.data)):
                yield Choice(f"{name} is {how}", writes={each: torn})


def _tears(length: int) -> Iterator[tuple[str, Torn]]:
    for cut in sorted({1, length // 2, length - 1, *range(SECTOR, length, SECTOR)} - {0, length}):
        yield f"cut after {cut} bytes", lambda data, _, cut=cut: data[:cut]  # type: ignore[misc]
    for half in sorted({0, length // 2}):
        yield f"zeros from byte {half}", lambda data, _, half=half: data[:half] + bytes(len(data) - half)  # type: ignore[misc]
        yield (
            f"garbage from byte {half}",
            lambda data, _, half=half: data[:half] + random.Random(half).randbytes(len(data) - half),  # type: ignore[misc]
        )
    for first in (0, 1):
        yield (
            f"there in every second sector, from {first}",
            lambda data, offset, first=first: _sectors(  # type: ignore[misc]
                data, offset, lambda number: number % 2 == first
            ),
        )


def _sectors(data: bytes, offset: int, there: Callable[[int], bool]) -> bytes:
    """Return the bytes with zeros where a sector of the file is not there."""
    left = bytearray(data)
    start = 0
    while start < len(data):
        number = (offset + start) // SECTOR
        end = min((number + 1) * SECTOR - offset, len(data))
        if not there(number):
            left[start:end] = bytes(end - start)
        start = end
    return bytes(left)


def chosen(events: Sequence[Event], choose: random.Random) -> State:
    """Return one state in which each thing that is not durable has a fate of its own."""
    kept = durable(events)
    choice = Choice(
        "by chance", databases=choose.choice(((0, 0), (0, 0), (1, 0), (3, 0), (0, 4096), (10**9, 0)))
    )
    for each in _unsettled(events, kept):
        event = events[each]
        choice.names[each] = choose.choice(
            (LOST, NEW_NAME_ONLY, KEPT) if isinstance(event, Rename) else (LOST, KEPT)
        )
        if isinstance(event, Write) and choose.random() < 0.5:
            choice.writes[each] = choose.choice([torn for _, torn in _tears(len(event.data))] or [_whole])
    return state(events, choice, kept)


def _whole(data: bytes, offset: int) -> bytes:
    del offset
    return data


def _unsettled(events: Sequence[Event], kept: dict[int, int]) -> list[int]:
    changing = (Create, Write, Truncate, MakeDirectory, RemoveDirectory, Rename, Unlink)
    return [
        position
        for position, event in enumerate(events)
        if isinstance(event, changing) and kept.get(position) != KEPT
    ]


def _short(event: Event) -> str:
    text = [f"{value!r:.60}" for value in event if not isinstance(value, bytes)]
    return f"{type(event).__name__}({', '.join(text)})"


def _parent(path: str) -> str:
    return str(PurePosixPath(path).parent)
