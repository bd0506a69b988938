# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the clients of OpenFGA, their requests and answers say; pure functions."""

from collections.abc import Mapping
from typing import Any, Final, cast

from runrecord.instrumentation._policy_engine import Answer, Policy, declared

NAME: Final = "openfga"


def policy(client: Any, options: Any) -> Policy:
    """Return the policy that a call asks: the store, and the model that was asked for; without one it is the latest."""
    given = cast("Mapping[str, object]", options if isinstance(options, Mapping) else {})
    store = given.get("store_id") or client.get_store_id()
    model = given.get("authorization_model_id") or client.get_authorization_model_id()
    found = Policy(str(store) if store else NAME, str(model) if model else None, NAME)
    return declared(client, found)


def answer(allowed: object, relation: object, kind: object, error: object = None) -> Answer:
    """Return what came out of one check; what settled it is the relation, as the model defines it for the type."""
    if error is not None:
        return Answer(error=error if isinstance(error, BaseException) else _code(error))
    return Answer("allow" if allowed is True else "deny", rule(relation, kind))


def rule(relation: object, kind: object) -> str | None:
    """Return the name of a relation in the model, such as ``refund#approver``; it names no user and no object."""
    return f"{kind}#{relation}" if kind and relation else None


def kind_of(thing: object) -> str | None:
    """Return the type of an object such as ``refund:r-1``."""
    kind, colon, _ = str(thing).partition(":")
    return kind if colon else None


def _code(error: Any) -> str:
    """Return the code of an error of one check of a batch."""
    for name in ("input_error", "internal_error"):
        code = getattr(error, name, None)
        if code is not None:
            return f"openfga.{getattr(code, 'value', code)}"
    return "openfga.check_error"


def inputs(body: Any) -> dict[str, object]:
    """Return what was judged."""
    names = ("user", "relation", "object", "type", "context")
    found: dict[str, object] = {name: getattr(body, name, None) for name in names}
    tuples = _tuples(getattr(body, "contextual_tuples", None))
    return {
        name: value for name, value in {**found, "contextual_tuples": tuples}.items() if value is not None
    }


def _tuples(given: Any) -> list[list[object]] | None:
    parts = ("user", "relation", "object")
    return [[getattr(each, part, None) for part in parts] for each in given] if given else None
