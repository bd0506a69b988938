# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into the SDK; nothing else.

A batch that the client makes of single checks calls ``check`` for each, the synchronous one in threads that are in no run; so the
batch is hooked into, and the checks below it make no records of their own. ``list_relations`` is such a batch.
"""

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from runrecord.instrumentation._policy_engine import (
    Answer,
    Args,
    EngineHooks,
    Kwargs,
    Question,
    Subject,
    argument,
    asynchronous,
    synchronous,
)
from runrecord.instrumentation.openfga import extract


def apply(hooks: EngineHooks, module: ModuleType) -> None:
    """Hook into a module that has a client, synchronous or not."""
    hook = asynchronous if module.__name__ == "openfga_sdk.client.client" else synchronous
    hooks.wrap(module, "OpenFgaClient.check", hook("openfga", _Check))
    hooks.wrap(module, "OpenFgaClient.batch_check", hook("openfga", _Batch))
    hooks.wrap(module, "OpenFgaClient.client_batch_check", hook("openfga", _ClientBatch))
    hooks.wrap(module, "OpenFgaClient.list_objects", hook("openfga", _Objects))


class _Call:
    """A call of a client, with the question that it is."""

    def __init__(self, asked: Question, client: Any, args: Args, kwargs: Kwargs) -> None:
        self._body = argument(args, kwargs, 0, "body")
        self._asked = asked
        self._policy = extract.policy(client, argument(args, kwargs, 1, "options"))

    def _answered(self, answer: Answer, body: object, subject: Subject | None = None) -> None:
        self._asked.answered(self._policy, answer, extract.inputs(body), subject)


class _Check(_Call):
    def returned(self, result: Any) -> None:
        body = self._body
        self._answered(extract.answer(result.allowed, body.relation, extract.kind_of(body.object)), body)

    def raised(self, error: Exception) -> None:
        self._answered(Answer(error=error), self._body)


class _Batch(_Call):
    """Checks that the server takes together."""

    def returned(self, result: Any) -> None:
        for each in getattr(result, "result", result):  # of the server's answer, or the client's list itself
            item = each.request
            kind = extract.kind_of(item.object)
            self._answered(extract.answer(each.allowed, item.relation, kind, each.error), item)

    def raised(self, error: Exception) -> None:
        for item in self._items():
            self._answered(Answer(error=error), item)

    def _items(self) -> Iterable[Any]:
        checks: Iterable[Any] = self._body.checks
        return checks


class _ClientBatch(_Batch):
    """Checks that the client sends one by one."""

    def _items(self) -> Iterable[Any]:
        checks: Iterable[Any] = self._body
        return checks


class _Objects(_Call):
    """What may be retrieved: something, or nothing."""

    def returned(self, result: Any) -> None:
        self._retrieval(extract.answer(bool(result.objects), self._body.relation, self._body.type))

    def raised(self, error: Exception) -> None:
        self._retrieval(Answer(error=error))

    def _retrieval(self, answer: Answer) -> None:
        self._answered(answer, self._body, Subject("retrieval", str(self._body.type)))
