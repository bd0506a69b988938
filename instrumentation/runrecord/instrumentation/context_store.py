# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where the span context of a pending approval waits for the process that will answer it.

A stored context holds ids and keyed commitments, never content. While a run waits it also holds the names of its agent and
of the tools it asked about; when the run is closed they go. The conversation is never stored: whoever resumes names it.
"""

import hashlib
import json
import os
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol, cast, runtime_checkable

from opentelemetry.trace import SpanContext, TraceFlags, TraceState

from runrecord.semconv.commitment import state_dir

__all__ = [
    "ContextKey",
    "ContextStore",
    "FileContextStore",
    "MemoryContextStore",
    "SpanRef",
    "StoredApproval",
    "StoredContext",
]

ContextKey = tuple[str, ...]
"""(framework, conversation or thread or session id, the SDK's durable id)."""

DEFAULT_MAX_AGE: Final = 30 * 24 * 3600.0
"""Seconds after which an unanswered context is forgotten."""
DEFAULT_MAX_ENTRIES: Final = 10_000
_CLEAN_EVERY: Final = 256


@dataclass(frozen=True)
class SpanRef:
    """The address of a span, in the text forms of W3C Trace Context."""

    trace_id: str
    span_id: str
    trace_flags: int = 1
    trace_state: str = ""

    @classmethod
    def of(cls, context: SpanContext) -> "SpanRef | None":
        """Return the address of a span, or None for an invalid (no-op) one."""
        if not context.is_valid:
            return None
        return cls(
            f"{context.trace_id:032x}",
            f"{context.span_id:016x}",
            int(context.trace_flags),
            context.trace_state.to_header(),
        )

    def span_context(self) -> SpanContext:
        """Return the span context, marked as remote."""
        state = TraceState.from_header([self.trace_state]) if self.trace_state else TraceState()
        return SpanContext(
            int(self.trace_id, 16),
            int(self.span_id, 16),
            is_remote=True,
            trace_flags=TraceFlags(self.trace_flags),
            trace_state=state,
        )


@dataclass(frozen=True)
class StoredApproval:
    """One request that waits for an answer, or was answered.

    ``ahead`` says that the answer was recorded while no segment of the run was open, so that the one that goes on brings it
    again; ``of_arguments`` that what was shown were the arguments of a call, which is then bound to them.
    """

    approval_id: str
    subject_type: str = "tool_call"
    subject_id: str | None = None
    name: str | None = None
    digest: str | None = None
    deadline: str | None = None
    requested_at: float = 0.0
    request: SpanRef | None = None
    durable_id: str | None = None
    decided: bool = False
    ahead: bool = False
    of_arguments: bool = True


@dataclass(frozen=True)
class StoredContext:
    """What another process needs to continue a suspended run.

    ``conversation_in_key`` says that the second part of the key is the conversation; ``phases`` names what was recorded already and must not be recorded again when an SDK re-executes the same code;
    ``stopped`` holds (call id, tool) of the tool calls that were denied and have not happened since; ``closed`` says that
    the run ended. ``started_at`` is when the first segment began, in seconds since the epoch, or 0; ``spent`` holds
    (currency, amount) of what the calls cost so far.
    """

    run_id: str
    segment: int = 0
    root: SpanRef | None = None
    last: SpanRef | None = None
    agent: str | None = None
    workflow: str | None = None
    tenant_id: str | None = None
    conversation_in_key: bool = False
    next_step: int = 0
    closed: bool = False
    phases: tuple[str, ...] = ()
    stopped: tuple[tuple[str, str | None], ...] = ()
    started_at: float = 0.0
    spent: tuple[tuple[str, float], ...] = ()
    approvals: tuple[StoredApproval, ...] = field(default=())

    def approval(self, approval_id: str) -> StoredApproval | None:
        """Return the request of that id."""
        return next((item for item in self.approvals if item.approval_id == approval_id), None)

    def with_approval(self, approval: StoredApproval) -> "StoredContext":
        """Return a copy in which ``approval`` is added, or replaces the one of the same id."""
        known = {item.approval_id: item for item in self.approvals}  # which keeps their order
        return replace(self, approvals=tuple({**known, approval.approval_id: approval}.values()))

    def reduced(self) -> "StoredContext":
        """Return a copy with what keeps a closed run from being recorded twice: ids, commitments and flags, no names."""
        return replace(
            self,
            agent=None,
            workflow=None,
            stopped=tuple((call_id, None) for call_id, _ in self.stopped),
            spent=(),
            approvals=tuple(replace(approval, name=None) for approval in self.approvals),
        )

    def to_json(self) -> str:
        """Return the stored form."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "StoredContext":
        """Read the stored form; unknown members of a newer version are left out.

        Raises:
            ValueError: ``text`` is not a stored context.
        """
        raw = cast("object", json.loads(text))
        if not isinstance(raw, dict):
            raise ValueError("a stored context must be a JSON object")  # noqa: TRY004  # a parse error
        data = _known(cls, cast("dict[str, Any]", raw))
        try:
            items = cast("list[dict[str, Any]]", data.pop("approvals", []))
            for name in ("root", "last"):
                data[name] = _span_ref(data.get(name))
            approvals = tuple(
                replace(
                    StoredApproval(**_known(StoredApproval, item)), request=_span_ref(item.get("request"))
                )
                for item in items
            )
            data["phases"] = tuple(cast("list[str]", data.get("phases", [])))
            stopped = cast("list[tuple[str, str | None]]", data.get("stopped", []))
            data["stopped"] = tuple((call_id, tool) for call_id, tool in stopped)
            spent = cast("list[tuple[str, float]]", data.get("spent", []))
            data["spent"] = tuple((currency, amount) for currency, amount in spent)
            return cls(**data, approvals=approvals)
        except TypeError as error:
            raise ValueError("a stored context lacks a required member") from error


def _known(kind: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: data[name] for name in kind.__dataclass_fields__ if name in data}


def _span_ref(data: Any) -> SpanRef | None:
    return None if data is None else SpanRef(**_known(SpanRef, data))


@runtime_checkable
class ContextStore(Protocol):
    """Keeps the contexts of pending approvals; may be shared by processes and threads."""

    def get(self, key: ContextKey) -> StoredContext | None:
        """Return what is stored under ``key``."""
        ...

    def put(self, key: ContextKey, context: StoredContext) -> None:
        """Store ``context``, replacing what was there."""
        ...


class MemoryContextStore:
    """A store for one process; the oldest entry leaves when ``max_entries`` are reached."""

    def __init__(self, max_entries: int = DEFAULT_MAX_ENTRIES) -> None:
        self._entries: OrderedDict[ContextKey, StoredContext] = OrderedDict()
        self._max = max_entries
        self._lock = threading.Lock()

    def get(self, key: ContextKey) -> StoredContext | None:
        """Return what is stored under ``key``."""
        with self._lock:
            return self._entries.get(key)

    def put(self, key: ContextKey, context: StoredContext) -> None:
        """Store ``context``, replacing what was there."""
        with self._lock:
            self._entries[key] = context
            self._entries.move_to_end(key)
            while len(self._entries) > self._max:
                self._entries.popitem(last=False)


class FileContextStore:
    """The default store: one file of mode 0600 per key, written atomically, in a directory of mode 0700.

    The names of the files are hashes of the keys. Entries older than ``max_age`` seconds, and the oldest beyond
    ``max_entries``, are removed at the first and then at every 256th write.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        max_age: float = DEFAULT_MAX_AGE,
        max_entries: int = DEFAULT_MAX_ENTRIES,
    ) -> None:
        self._directory = Path(directory) if directory is not None else None
        self._max_age = max_age
        self._max_entries = max_entries
        self._writes = 0
        self._lock = threading.Lock()

    @property
    def directory(self) -> Path:
        """Where the files are: ``<state dir>/contexts`` unless another was given."""
        return self._directory if self._directory is not None else state_dir() / "contexts"

    def _path(self, key: ContextKey) -> Path:
        name = hashlib.sha256(json.dumps(list(key)).encode()).hexdigest()
        return self.directory / f"{name}.json"

    def get(self, key: ContextKey) -> StoredContext | None:
        """Return what is stored under ``key``; a damaged or expired file counts as nothing.

        Raises:
            OSError: The file exists but can't be read.
        """
        path = self._path(key)
        try:
            if time.time() - path.stat().st_mtime > self._max_age:
                return None
            return StoredContext.from_json(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    def put(self, key: ContextKey, context: StoredContext) -> None:
        """Store ``context`` atomically, replacing what was there.

        Raises:
            OSError: The directory can't be written.
        """
        directory = self.directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(
            dir=directory, prefix=".", suffix=".tmp"
        )  # made with mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(context.to_json())
            Path(temporary).replace(self._path(key))
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        with self._lock:
            clean = self._writes % _CLEAN_EVERY == 0
            self._writes += 1
        if clean:
            self._clean(directory)

    def _clean(self, directory: Path) -> None:
        aged: list[tuple[float, Path]] = []
        for path in directory.iterdir():
            if path.suffix in {".json", ".tmp"}:
                try:
                    aged.append((path.stat().st_mtime, path))
                except FileNotFoundError:  # another process cleans too
                    continue
        aged.sort(reverse=True)
        oldest = time.time() - self._max_age
        for position, (changed, path) in enumerate(aged):
            if changed < oldest or position >= self._max_entries:
                path.unlink(missing_ok=True)
