# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into the SDK; nothing else.

A batch that the client makes of single checks calls ``check`` for each, the synchronous one in threads that are in no run; so the
batch is hooked into, and the checks below it make no records of their own. ``list_relations`` is such a batch.
"""

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from runrecord.instrumentation._policy_engine import (
    Answer,
    Args,
    EngineHooks,
    Kwargs,
    Question,
    Subject,
    Wrapped,
    argument,
    asking,
    question,
)
from runrecord.instrumentation._safety import guarded, swallowed
from runrecord.instrumentation.openfga import extract

_Record = Callable[["_Call", Any, Exception | None], None]
"""Takes a call, with its result or what it raised."""


def apply(hooks: EngineHooks, module: ModuleType) -> None:
    """Hook into a module that has a client, synchronous or not."""
    is_async = module.__name__ == "openfga_sdk.client.client"
    hooked = {
        "check": _check,
        "batch_check": _batch,
        "client_batch_check": _client_batch,
        "list_objects": _objects,
    }
    for name, record in hooked.items():
        hooks.wrap(module, f"OpenFgaClient.{name}", (_asynchronous if is_async else _synchronous)(record))


def _synchronous(record: _Record) -> Wrapped:
    def call(wrapped: Wrapped, instance: Any, args: Args, kwargs: Kwargs) -> Any:
        asked = _ask(instance, args, kwargs)
        if asked is None:
            return wrapped(*args, **kwargs)
        try:
            with asking():
                result = wrapped(*args, **kwargs)
        except Exception as error:
            with swallowed("an OpenFGA decision"):
                record(asked, None, error)
            raise
        with swallowed("an OpenFGA decision"):
            record(asked, result, None)
        return result

    return call


def _asynchronous(record: _Record) -> Wrapped:
    async def call(wrapped: Wrapped, instance: Any, args: Args, kwargs: Kwargs) -> Any:
        asked = _ask(instance, args, kwargs)
        if asked is None:
            return await wrapped(*args, **kwargs)
        try:
            with asking():
                result = await wrapped(*args, **kwargs)
        except Exception as error:
            with swallowed("an OpenFGA decision"):
                record(asked, None, error)
            raise
        with swallowed("an OpenFGA decision"):
            record(asked, result, None)
        return result

    return call


@guarded
def _ask(client: Any, args: Args, kwargs: Kwargs) -> "_Call | None":
    asked = question()
    return None if asked is None else _Call(asked, client, args, kwargs)


class _Call:
    """A call of a client, with the question that it is."""

    def __init__(self, asked: Question, client: Any, args: Args, kwargs: Kwargs) -> None:
        self.body = argument(args, kwargs, 0, "body")
        self._asked = asked
        self._policy = extract.policy(client, argument(args, kwargs, 1, "options"))

    def answered(self, answer: Answer, body: object, subject: Subject | None = None) -> None:
        self._asked.answered("openfga", self._policy, answer, extract.inputs(body), subject)


def _check(call: _Call, result: Any, error: Exception | None) -> None:
    body, allowed = call.body, getattr(result, "allowed", None)
    call.answered(extract.answer(allowed, body.relation, extract.kind_of(body.object), error), body)


def _batch(call: _Call, result: Any, error: Exception | None) -> None:
    _every(call, call.body.checks, getattr(result, "result", ()), error)


def _client_batch(call: _Call, result: Any, error: Exception | None) -> None:
    _every(call, call.body, result or (), error)


def _every(call: _Call, items: Iterable[Any], results: Iterable[Any], error: Exception | None) -> None:
    if error is not None:
        for item in items:
            call.answered(Answer(error=error), item)
    for each in results:
        item = each.request
        kind = extract.kind_of(item.object)
        call.answered(extract.answer(each.allowed, item.relation, kind, each.error), item)


def _objects(call: _Call, result: Any, error: Exception | None) -> None:
    """What may be retrieved: something, or nothing."""
    body = call.body
    subject = Subject("retrieval", str(body.type))
    found = bool(getattr(result, "objects", None))
    answer = extract.answer(found, body.relation, body.type, error)
    call.answered(answer, body, subject)
