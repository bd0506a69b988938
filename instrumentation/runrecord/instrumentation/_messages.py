# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a run was given and what it answered, as ``gen_ai.input.messages`` and ``gen_ai.output.messages``.

The shape is that of the GenAI conventions (gen-ai-input-messages.json, gen-ai-output-messages.json)::

    [{"role": "user", "parts": [{"type": "text", "content": "..."}]}]

Parts are text, reasoning, tool_call (id, name, arguments) and tool_call_response (id, response); of any other kind, such as an
image, only the type is kept. Nothing here is called unless content is captured.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from runrecord.instrumentation._content import as_text, parsed_arguments

Message = dict[str, Any]

_ROLES: Final = {"human": "user", "ai": "assistant"}
_SPEAKERS: Final = frozenset({"human", "ai", "system", "tool", "chat"})
_TEXTS: Final = frozenset({"text", "input_text", "output_text", "refusal"})
_CALLS: Final = frozenset({"tool_use", "tool_call", "function_call"})


def input_messages(value: object) -> str | None:
    """Return what the caller passed; None for nothing.

    Args:
        value: A text, a message, several messages, a graph's state with ``messages``, or any other value, which is one
            text message of its JSON. Messages are read in the forms of LangChain and of OpenAI's Responses and Chat.
    """
    found = _messages(value, "user")
    return json.dumps(found, ensure_ascii=False, default=str) if found else None


def output_messages(value: object) -> str | None:
    """Return the last message of what a run returned; None for nothing. See :func:`input_messages`."""
    found = [{**message, "finish_reason": _reason(message)} for message in _messages(value, "assistant")[-1:]]
    return json.dumps(found, ensure_ascii=False, default=str) if found else None


def _reason(message: Message) -> str:
    return "tool_call" if any(part["type"] == "tool_call" for part in message["parts"]) else "stop"


def _messages(value: object, role: str) -> list[Message]:
    if value is None:
        return []
    state = _get(value, "messages")
    if state is not None:
        value = state
    items = _several(value)
    return [_message(value, role)] if items is None else [_message(item, role) for item in items]


def _several(value: object) -> Sequence[object] | None:
    if _pair(value) is not None or not isinstance(value, (list, tuple)):
        return None
    return cast("Sequence[object]", value)


def _pair(value: object) -> tuple[str, str] | None:
    """Return LangChain's short form of a message: (role, text)."""
    items = cast("tuple[object, ...]", value) if isinstance(value, tuple) else ()
    said_by, text = items if len(items) == 2 else (None, None)  # noqa: PLR2004
    return (said_by, text) if isinstance(said_by, str) and isinstance(text, str) else None


def _message(value: object, role: str) -> Message:
    pair = _pair(value)
    if pair is not None:
        return {"role": _ROLES.get(pair[0], pair[0]), "parts": _parts(pair[1])}
    kind = _text(value, "type")
    said_by = _text(value, "role") or (kind if kind in _SPEAKERS else None)
    if said_by is not None:
        return {"role": _ROLES.get(said_by, said_by), "parts": _said(value)}
    if kind in _CALLS:
        return {"role": "assistant", "parts": [_call(value)]}
    if kind is not None and kind.endswith("_call_output"):
        response = {
            "type": "tool_call_response",
            "id": _get(value, "call_id"),
            "response": _get(value, "output"),
        }
        return {"role": "tool", "parts": [response]}
    if kind is not None:
        return {"role": role, "parts": [{"type": kind}]}
    dump = getattr(value, "model_dump_json", None)  # pydantic, of which many results are made
    return {"role": role, "parts": _parts(dump() if callable(dump) else as_text(value))}


def _said(message: object) -> list[Message]:
    content = _get(message, "content")
    answered = _get(message, "tool_call_id")
    if answered is not None:
        return [{"type": "tool_call_response", "id": answered, "response": content}]
    made = _get(message, "tool_calls")
    calls = [_call(call) for call in cast("list[object]", made)] if isinstance(made, list) else []
    return [*(part for part in _parts(content) if not calls or part["type"] not in _CALLS), *calls]


def _call(call: object) -> Message:
    function = _get(call, "function") or call  # the Chat API nests it
    arguments = next(
        (found for name in ("args", "arguments", "input") if (found := _get(function, name)) is not None),
        None,
    )
    return {
        "type": "tool_call",
        "id": _get(call, "call_id") or _get(call, "id"),
        "name": _get(function, "name"),
        "arguments": parsed_arguments(arguments),
    }


def _parts(content: object) -> list[Message]:
    if content is None or content == "":
        return []
    if not isinstance(content, (list, tuple)):
        return [{"type": "text", "content": as_text(content)}]
    return [_part(item) for item in cast("Sequence[object]", content)]


def _part(item: object) -> Message:
    if isinstance(item, str):
        return {"type": "text", "content": item}
    kind = _text(item, "type")
    text = next(
        (
            found
            for name in ("text", "refusal", "reasoning", "thinking")
            if isinstance(found := _get(item, name), str)
        ),
        None,
    )
    if kind in _TEXTS and text is not None:
        return {"type": "text", "content": text}
    if kind in {"reasoning", "thinking"} and text is not None:
        return {"type": "reasoning", "content": text}
    return _call(item) if kind in _CALLS else {"type": kind or "unknown"}


def _text(value: object, name: str) -> str | None:
    found = _get(value, name)
    return found if isinstance(found, str) else None


def _get(value: object, name: str) -> Any:
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value).get(name)
    return None if isinstance(value, str) else getattr(value, name, None)
