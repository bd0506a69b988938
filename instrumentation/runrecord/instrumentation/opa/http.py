# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A question to OPA over HTTP, whichever client sends it, and its answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runrecord.instrumentation._policy_engine import Args, Kwargs, Question, question
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.opa import extract
from runrecord.instrumentation.opa.addresses import Address, Target, target


@dataclass(frozen=True)
class Client:
    """How one HTTP client calls what its requests and its answers have.

    Attributes:
        request: Returns the method, the URL in full and the body, from the instance and the arguments of a call; or None, if the
            program streams the answer.
        status: The attribute of an answer with its status code.
        content: The attribute of an answer with its body, which the client has read.
    """

    request: Callable[[Any, Args, Kwargs], tuple[str, str, object] | None]
    status: str
    content: str


class Asked:
    """A request that asks OPA, inside of a run."""

    def __init__(self, asked: Question, client: Client, where: Target, body: object, *, asks: bool) -> None:
        self._question = asked
        self._client = client
        self._where = where
        self._body = body
        self._asks = asks

    @guarded
    def answered(self, response: object) -> None:
        """Record what an answer says."""
        status: int = getattr(response, self._client.status)
        content: bytes = getattr(response, self._client.content)
        path, document = self._where.path, extract.parsed(content)
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
            inputs = extract.inputs(self._body, self._where.input)
            self._question.answered("opa", found.policy, found.answer, inputs)


@guarded
def asked(
    addresses: tuple[Address, ...], client: Client, instance: Any, args: Args, kwargs: Kwargs
) -> Asked | None:
    """Return the question that a call of an HTTP client is; None for every other request, and outside of a run."""
    here = question()
    given = client.request(instance, args, kwargs) if here is not None else None
    if here is None or given is None:
        return None
    method, url, body = given
    where = target(url, addresses) if method in {"GET", "POST"} else None
    if where is None:
        return None
    return Asked(here, client, where, body, asks=method == "POST" or where.input is not None)
