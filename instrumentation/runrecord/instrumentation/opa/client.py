# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Questions to OPA through opa-python-client."""

from typing import Any

from runrecord.instrumentation._policy_engine import Args, Kwargs, Question, argument, declared
from runrecord.instrumentation.opa import extract


class Query:
    """A rule, asked with one input."""

    def __init__(self, asked: Question, client: Any, args: Args, kwargs: Kwargs) -> None:
        self._asked = asked
        self._client = client
        self._path = _path(args, kwargs)
        self._input: object = argument(args, kwargs, 0, "input_data")

    def returned(self, result: Any) -> None:
        """Record what an answer says."""
        self._record(extract.decided(self._path, result, asks=True), self._input)

    def raised(self, error: Exception) -> None:
        """Record that there was no answer."""
        self._record(extract.raised(self._path, error), self._input)

    def _record(self, found: extract.Decided | None, inputs: object) -> None:
        if found is not None:
            self._asked.answered(declared(self._client, found.policy), found.answer, inputs)


class Bulk(Query):
    """A rule, asked with many inputs at once: a list of them, or a mapping."""

    def __init__(self, asked: Question, client: Any, args: Args, kwargs: Kwargs) -> None:
        super().__init__(asked, client, args, kwargs)
        self._inputs: Any = argument(args, kwargs, 0, "inputs")

    def returned(self, result: Any) -> None:
        """Record what each answer says."""
        keys: Any = self._inputs if hasattr(self._inputs, "keys") else range(len(self._inputs))
        for key in keys:
            found = extract.decided(self._path, {"result": result[key]}, asks=True)
            self._record(found, self._inputs[key])

    def raised(self, error: Exception) -> None:
        """Record that there was no answer."""
        self._record(extract.raised(self._path, error), self._inputs)


def _path(args: Args, kwargs: Kwargs) -> tuple[str, ...]:
    package = argument(args, kwargs, 1, "package_path") or kwargs.get("policy_name") or ""
    rule = argument(args, kwargs, 2, "rule_name")
    return tuple(part for part in (*str(package).replace(".", "/").split("/"), rule or "") if part)
