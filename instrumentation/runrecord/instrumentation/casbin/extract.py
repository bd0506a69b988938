# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What an enforcer of casbin and its answer say; pure functions."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, cast

from runrecord.instrumentation._policy_engine import Answer, Policy, declared

NAME: Final = "casbin"


def policy(enforcer: Any) -> Policy:
    """Return the policy that an enforcer holds: its declared name, and the digest of its model."""
    return declared(enforcer, Policy(NAME, _version(enforcer)))


def _version(enforcer: Any) -> str | None:
    """Return a digest of the definitions of the model, without the rules, of which there may be very many."""
    sections = _sections(enforcer)
    if sections is None:
        return None
    text = {
        section: {key: str(getattr(item, "value", "")) for key, item in sections[section].items()}
        for section in ("r", "p", "g", "e", "m")
        if section in sections
    }
    return "sha256:" + hashlib.sha256(json.dumps(text, sort_keys=True).encode()).hexdigest()


def _sections(enforcer: Any) -> Mapping[str, Mapping[str, Any]] | None:
    model = getattr(enforcer, "model", None)
    sections = getattr(model, "model", None)
    return cast("Mapping[str, Mapping[str, Any]]", sections) if isinstance(sections, dict) else None


def answer(enforcer: Any, request: tuple[Any, ...], result: Any) -> Answer:
    """Return what ``enforce_ex`` said; a rule is named by its place in the loaded policy, for its text names people."""
    allowed, matched = bool(result[0]), result[1]
    if getattr(enforcer, "enabled", True) is False:
        return Answer("allow", reason="enforcement_disabled")
    rule = _rule(enforcer, request, matched) if matched else None
    reason = "no_rule_matched" if not matched and not allowed else None
    return Answer("allow" if allowed else "deny", rule, reason=reason)


def _rule(enforcer: Any, request: tuple[Any, ...], matched: object) -> str | None:
    kind = str(getattr(request[0], "ptype", "p")) if request else "p"
    sections = _sections(enforcer)
    rules: object = getattr(sections["p"][kind], "policy", None) if sections is not None else None
    if not isinstance(rules, list):
        return None  # a fast enforcer shows those rules only that may match
    places = enumerate(cast("list[object]", rules))
    place = next((index for index, rule in places if rule is matched), None)
    return None if place is None else f"{kind}/{place}"


def inputs(request: tuple[Any, ...]) -> list[Any]:
    """Return what was judged: the values of the request, without the choice of the model's sections."""
    return [value for value in request if not hasattr(value, "ptype")]
