# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A question to OPA over HTTP, whichever client sends it, and its answer."""

from collections.abc import Callable
from typing import Any

from runrecord.instrumentation._policy_engine import Question, question
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.opa import extract
from runrecord.instrumentation.opa.addresses import Address, Target, target


class Asked:
    """A request that asks OPA, inside of a run."""

    def __init__(self, asked: Question, method: str, where: Target, body: Callable[[], object]) -> None:
        self._question = asked
        self._where = where
        self._body = body
        self._asks = method == "POST" or where.input is not None

    @guarded
    def answered(self, status: int, content: bytes) -> None:
        """Record what an HTTP answer says."""
        path = self._where.path
        document = extract.parsed(content)
        found = extract.failed(path, status, content)
        if found is None and document is not None:
            found = extract.decided(path, document, asks=self._asks)
        self._record(found)

    @guarded
    def raised(self, error: BaseException) -> None:
        """Record that there was no answer."""
        if self._asks:
            self._record(extract.raised(self._where.path, error))

    def _record(self, found: extract.Decided | None) -> None:
        if found is not None:
            inputs = extract.inputs(self._body(), self._where.input)
            self._question.answered("opa", found.policy, found.answer, inputs)


@guarded
def asked(
    addresses: tuple[Address, ...], method: object, url: object, body: Callable[[], Any]
) -> Asked | None:
    """Return the question that a request is; None for every other request, and outside of a run.

    Args:
        addresses: Where OPA is.
        method: Of the request.
        url: Of the request, in full.
        body: Returns the body of the request, if it is in memory.
    """
    if method not in {"GET", "POST"}:
        return None
    here = question()
    where = target(str(url), addresses) if here is not None else None
    return Asked(here, str(method), where, body) if here is not None and where is not None else None
