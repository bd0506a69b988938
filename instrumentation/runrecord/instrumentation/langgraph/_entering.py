# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of a graph invocation when it is entered: who, with what, and whether it continues a run."""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from opentelemetry import context as otel_context
from opentelemetry.trace import NonRecordingSpan, set_span_in_context

from runrecord.instrumentation._safety import note_once
from runrecord.instrumentation.context_store import ContextKey, SpanRef, StoredContext
from runrecord.instrumentation.langgraph import extract
from runrecord.instrumentation.recorder import Recorder

FRAMEWORK: Final = "langgraph"

ACTOR_REF: Final = ("runrecord.approval.actor.ref", "langgraph_auth_user_id")
ACTOR_TYPE: Final = "runrecord.approval.actor.type"


@dataclass
class Entering:
    """A graph invocation whose first callback has not come yet.

    Attributes:
        stored: The context of the run that waits in this thread.
        earlier: The context of the last run in this thread, if it is over; what it asked may be answered again.
        run_id: The callback run that claimed this.
        given: The input, or what resumes, until the run has noted it.
        pending: Interrupts read from the checkpoint, if the run is resumed and no context of it is stored.
    """

    name: str
    is_agent: bool
    config: dict[str, Any]
    resume: Any = None
    continues: bool = False
    stored: StoredContext | None = None
    earlier: StoredContext | None = None
    pending: list[Any] = field(default_factory=list[Any])
    run_id: UUID | None = None
    given: Any = None

    @property
    def thread(self) -> str | None:
        """The thread, which is the conversation."""
        return extract.text_of(self.config, "thread_id")

    @property
    def key(self) -> ContextKey | None:
        """Where the context of this thread's run is stored."""
        return (FRAMEWORK, self.thread) if self.thread is not None else None

    @property
    def actor(self) -> tuple[str, str | None]:
        """(type, opaque reference) of whoever resumes: a service, unless the config names somebody."""
        ref = extract.text_of(self.config, *ACTOR_REF)
        kind = extract.text_of(self.config, ACTOR_TYPE)
        return kind or ("human" if ref is not None else "service"), ref

    @property
    def lacks_context(self) -> bool:
        """Whether a run is resumed of which nothing is stored here."""
        return self.resume is not None and self.stored is None and self.thread is not None


_entering: ContextVar[Entering | None] = ContextVar("runrecord_langgraph_entering", default=None)


def announce(entering: Entering) -> None:
    """Say that the next chain that starts in this context is that graph."""
    _entering.set(entering)


def claim() -> Entering | None:
    """Take what was announced in this context."""
    entering = _entering.get()
    if entering is not None:
        _entering.set(None)
    return entering


_NOTHING: Final = nullcontext()


def continued(enabled: bool) -> AbstractContextManager[None]:
    """Make the root of the resumed run current while other handlers start their spans, so that they are in its trace."""
    found = _entering.get() if enabled else None
    root = found.stored.root if found is not None and found.stored is not None else None
    return _NOTHING if root is None else _below(root)


@contextmanager
def _below(root: SpanRef) -> Generator[None, None, None]:
    context = set_span_in_context(NonRecordingSpan(root.span_context()))
    token = otel_context.attach(context)
    try:
        yield
    finally:
        # The official instrumentation attaches its own context in between and detaches it later; then it is the boundary
        # of the stream that restores ours.
        if otel_context.get_current() is context:
            otel_context.detach(token)


def withdraw(entering: Entering) -> None:
    """Forget an announcement that no chain has claimed."""
    if _entering.get() is entering:
        _entering.set(None)


def entering(recorder: Recorder, graph: Any, given: object, config: object) -> Entering:
    """Read what a graph is invoked with.

    A run is continued by ``Command(resume=...)``, and by the input None in a thread whose run waits at a breakpoint.
    """
    merged = _merged(getattr(graph, "config", None), config)
    metadata = extract.mapping(merged.get("metadata"))
    name = metadata.get("lc_agent_name") or getattr(graph, "name", None)
    found = Entering(
        extract.bounded(name, "LangGraph"),
        _is_agent(graph, metadata),
        merged,
        resume=getattr(given, "resume", None),
    )
    found.given = given if found.resume is None else found.resume
    if found.key is not None and (given is None or found.resume is not None):
        stored = recorder.lookup(found.key)
        if stored is not None and stored.closed:
            found.earlier = stored
        elif stored is not None:
            found.stored, found.continues = stored, True
    found.continues = found.continues or (found.resume is not None and found.earlier is None)
    return found


def _is_agent(graph: Any, metadata: Mapping[str, Any]) -> bool:
    """Say whether a graph is an agent of ``create_agent``: it says so, or in older versions has its model node."""
    integration = metadata.get("ls_integration")
    if isinstance(integration, str) and integration not in {"", "langgraph"}:
        return True
    return "lc_agent_name" in metadata or "model" in extract.mapping(getattr(graph, "nodes", None))


def take_pending(found: Entering, state: Any) -> None:
    """Take the pending interrupts from a state snapshot."""
    found.pending = [item for task in getattr(state, "tasks", ()) for item in getattr(task, "interrupts", ())]
    if found.earlier is not None:
        return
    note_once(
        "langgraph-context",
        "runrecord has no stored context of the run that is resumed; the approval ids are derived from the checkpoint, "
        "the decision can't link to its request. Share RUNRECORD_STATE_DIR, or pass a context_store.",
    )


def _merged(*configs: object) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for config in map(extract.mapping, configs):
        for part in ("configurable", "metadata"):
            values = extract.mapping(config.get(part))
            if values:
                merged[part] = {**merged.get(part, {}), **values}
    return merged
