# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From the protocol's messages to our fields: pure functions that import nothing of the SDK and leave content alone.

A message is read alike as a model of the SDK and as the mapping that goes over the wire.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from runrecord.instrumentation._declared import Hints, Policy, is_mapping, policy_of
from runrecord.instrumentation._declared import as_attributes as declared_facts
from runrecord.instrumentation.context_store import ContextKey
from runrecord.semconv import attributes as a

FRAMEWORK: Final = "mcp"
TOOL_ERROR: Final = "tool_error"
"""``error.type`` of a result that says it is an error; the SDK's own spans say the same."""
ELICITATION: Final = "elicitation/create"
INPUT_REQUIRED: Final = "input_required"
REQUEST_TIMEOUT: Final = -32001
URL_ELICITATION_REQUIRED: Final = -32042
_INVALID_REQUEST_STATE: Final = "invalid_request_state"


def get(value: object, name: str, wire: str | None = None) -> Any:
    """Return a member of a model, or of a mapping, where it is called ``wire``; None without it."""
    kind: type[Any] = type(value)
    if is_mapping(kind):  # type: ignore[arg-type]  # a class can be hashed
        known = cast("Mapping[str, Any]", value)
        return known.get(wire or name, known.get(name))
    return getattr(value, name, None)


def text(value: object) -> str | None:
    """Return ``value`` if it is a text that says something."""
    return value if isinstance(value, str) and value else None


def plain(value: object) -> object:
    """Return the JSON value of a model, as it goes over the wire; anything else as it is."""
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json", by_alias=True, exclude_none=True)
    return value


def members(value: object) -> Mapping[str, object]:
    """Return what is a mapping as one, and anything else as an empty one."""
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def in_meta(message: object, name: str) -> object:
    """Return a member of a message's ``_meta``; None without it."""
    return members(get(message, "meta", "_meta")).get(name)


def given(arguments: object) -> object:
    """Return the arguments of a call; none are an empty object."""
    return arguments if arguments is not None else cast("object", {})


# tools


_ANNOTATIONS: Final = {
    "read_only": "readOnlyHint",
    "destructive": "destructiveHint",
    "idempotent": "idempotentHint",
    "open_world": "openWorldHint",
}
_META: Final = {
    "effect": (a.SIDE_EFFECT_TYPE, str),
    "target": (a.SIDE_EFFECT_TARGET, str),
    "reversible": (a.SIDE_EFFECT_REVERSIBLE, bool),
}


def tool_hints(tool: object) -> Hints:
    """Read the annotations of a tool, and ``runrecord.side_effect.*`` in its ``_meta``; what it does not say is left out."""
    hints: dict[str, object] = {}
    annotations, meta = get(tool, "annotations"), members(get(tool, "meta", "_meta"))
    for name, wire in _ANNOTATIONS.items() if annotations is not None else ():
        value = get(annotations, f"{name}_hint", wire)
        if isinstance(value, bool):
            hints[name] = value
    for name, (key, kind) in _META.items() if meta else ():
        value = meta.get(key)
        if isinstance(value, kind):
            hints[name] = value
    return cast("Hints", hints)


def as_attributes(hints: Hints) -> dict[str, str | bool]:
    """Return hints as attributes, for a call that is recorded already; a tool that only reads has the effect read."""
    facts = declared_facts(hints)
    if hints.get("read_only") is True:
        facts.setdefault(a.SIDE_EFFECT_TYPE, "read")
    return facts


def is_error(result: object) -> bool:
    """Say whether a result of ``tools/call`` reports an error."""
    flag: object = get(result, "is_error", "isError")
    return flag is True


def returned(result: object) -> object:
    """Return what a tool answered: the structured content, else the text of a single text block, else the blocks."""
    structured = get(result, "structured_content", "structuredContent")
    if structured is not None:
        return plain(structured)
    content = get(result, "content")
    blocks = list(cast("list[object]", content)) if isinstance(content, list) else []
    if len(blocks) == 1 and isinstance(get(blocks[0], "text"), str):
        return get(blocks[0], "text")
    return [plain(block) for block in blocks]


def same_tool(outer: str, name: str) -> bool:
    """Say whether an agent's tool called ``outer`` is the server's tool ``name``, perhaps with the server's name before it."""
    return outer == name or any(outer.endswith(separator + name) for separator in ("_", ".", "-", "/", ":"))


def error_code(error: BaseException) -> int | None:
    """Return the JSON-RPC code of an ``MCPError``."""
    code = get(get(error, "error"), "code")
    return code if isinstance(code, int) else None


def rejected_state(error: BaseException) -> bool:
    """Say whether the server refused a round, because its request state is expired, forged or somebody else's."""
    reason: object = get(get(get(error, "error"), "data"), "reason")
    return reason == _INVALID_REQUEST_STATE


# elicitations


@dataclass(frozen=True)
class Question:
    """One elicitation.

    Attributes:
        mode: form or url.
        asked: The message and the form or URL, to be committed to.
        elicitation_id: The server's own id; a URL elicitation has one.
        deadline: Until when an answer counts, where the server says so.
    """

    mode: str
    asked: object
    elicitation_id: str | None = None
    deadline: str | None = None

    @property
    def channel(self) -> str:
        """How the person was asked."""
        return f"mcp_elicitation_{self.mode}"


@dataclass(frozen=True)
class Answer:
    """What came back: a status of an approval, a code for why, and who it was, where the client says so."""

    status: str
    reason: str | None = None
    actor: str | None = "human"
    actor_ref: str | None = None


def question(request: object) -> Question | None:
    """Read an ``elicitation/create`` request; None for any other."""
    return question_of(get(request, "params")) if get(request, "method") == ELICITATION else None


def question_of(params: object) -> Question:
    """Read the parameters of an elicitation."""
    asked = plain(params)
    url = get(params, "mode") == "url"
    deadline = text(in_meta(params, a.APPROVAL_DEADLINE))
    asked = {name: value for name, value in members(asked).items() if name != "_meta"}
    elicitation_id = text(get(params, "elicitation_id", "elicitationId"))
    return Question("url" if url else "form", asked, elicitation_id, deadline)


def questions(result: object) -> dict[str, Question]:
    """Return the elicitations of an input-required result by their input keys; sampling and roots are none."""
    asked = members(get(result, "input_requests", "inputRequests"))
    read = {key: question(request) for key, request in asked.items()}
    return {key: found for key, found in read.items() if found is not None}


def waits(result: object) -> bool:
    """Say whether a result asks for input."""
    kind: object = get(result, "result_type", "resultType")
    return kind == INPUT_REQUIRED


def state_of(result: object) -> str | None:
    """Return the opaque request state of an input-required result or of the parameters of a retry."""
    return text(get(result, "request_state", "requestState"))


def url_questions(error: BaseException) -> dict[str, Question]:
    """Return the elicitations that a ``URL_ELICITATION_REQUIRED`` error names, by their ids."""
    if error_code(error) != URL_ELICITATION_REQUIRED:
        return {}
    asked = get(get(get(error, "error"), "data"), "elicitations")
    found = [question_of(item) for item in cast("list[object]", asked)] if isinstance(asked, list) else []
    return {item.elicitation_id: item for item in found if item.elicitation_id is not None}


def answer(result: object) -> Answer:
    """Read an ``ElicitResult``, or the error that a client answers with instead.

    A form with one field that is submitted with false in it is a no: nobody who asks "Refund?" takes that for consent.
    """
    action = get(result, "action")
    actor = text(in_meta(result, a.APPROVAL_ACTOR_TYPE)) or "human"
    ref = text(in_meta(result, a.APPROVAL_ACTOR_REF))
    if action == "accept":
        fields = list(members(get(result, "content")).values())
        if len(fields) == 1 and fields[0] is False:
            return Answer("denied", "answered_no", actor, ref)
        return Answer("approved", "accept", actor, ref)
    if action == "decline":
        return Answer("denied", "decline", actor, ref)
    if action == "cancel":
        return Answer("cancelled", "cancel")
    return Answer("cancelled", "not_asked")


def failure(error: BaseException) -> Answer:
    """Return how a question ends that got no answer."""
    if error_code(error) == REQUEST_TIMEOUT or isinstance(error, TimeoutError):
        return Answer("expired", "timeout")
    return Answer("cancelled", "no_answer")


def round_key(state: str, side: str) -> ContextKey:
    """Return where the context of a round is stored: it is known to whoever holds the request state.

    ``side`` is client or server: where both are in one installation, each has a context of its own.
    """
    return (FRAMEWORK, side, hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest())


# policies


def policy(place: object) -> Policy:
    """Read ``policy_id``, ``policy_version`` and ``policy_rule`` of a middleware; its policy is called as it is without them."""
    name = text(get(place, "__name__")) or type(place).__name__
    return policy_of(place, name)


def declared(place: object) -> bool:
    """Say whether a middleware says that it is a policy."""
    return text(get(place, "policy_id")) is not None


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it was raised from, the first cause last."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def raised_by(error: BaseException, places: list[Any]) -> Any:
    """Return the innermost of ``places`` (callables or objects with methods) through which an exception came."""
    found: Any = None
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        own = frame.f_locals.get("self")
        for place in places:
            if own is place or getattr(place, "__code__", None) is frame.f_code:
                found = place
        trace = trace.tb_next
    return found
