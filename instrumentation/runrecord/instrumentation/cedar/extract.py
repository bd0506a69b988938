# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the arguments and results of cedarpy say; pure functions."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, cast

from runrecord.instrumentation._policy_engine import Answer, Policy, declared

NAME: Final = "cedar"
_MAX_KNOWN: Final = 16
_versions: dict[int, tuple[object, str]] = {}


def policy(policies: object) -> Policy:
    """Return the policy that a set of Cedar policies is: its declared name, and the digest of its text."""
    return declared(policies, Policy(NAME, _version(policies)))


def _version(policies: object) -> str:
    """Return a digest of the text; it is kept for the last few sets, since a program asks the same ones again and again."""
    known = _versions.get(id(policies))
    if known is not None and known[0] is policies:
        return known[1]
    version = "sha256:" + hashlib.sha256(str(policies).encode("utf-8", "surrogatepass")).hexdigest()
    if len(_versions) >= _MAX_KNOWN:
        _versions.clear()
    _versions[id(policies)] = (policies, version)  # with the set itself, so that its id stays its own
    return version


def answer(result: Any) -> Answer:
    """Return what an ``AuthzResult`` says.

    A policy that failed does not count, by Cedar's rules, and the others decide; Cedar decides nothing at all if the
    request, the entities or the policies can't be read.
    """
    decision = str(result.decision.value)
    errors = bool(result.diagnostics.errors)
    if decision not in {"Allow", "Deny"}:
        return Answer(error="cedar.invalid_input")
    rules = _rules(result.diagnostics)
    reason = "policy_error" if errors else None
    if decision == "Deny" and not rules:
        reason = reason or "no_policy_permits"
    return Answer(
        "allow" if decision == "Allow" else "deny", rules[0] if len(rules) == 1 else None, reason=reason
    )


def preview(result: Any) -> Answer | None:
    """Return what a ``PartialAuthzResult`` says, which must not be acted on; None if it depends on what is unknown."""
    decision = str(result.decision.value)
    if decision not in {"Allow", "Deny"}:
        return Answer(error="cedar.invalid_input", mode="monitor") if not result.residuals else None
    rules = _rules(result.diagnostics)
    outcome = "allow" if decision == "Allow" else "deny"
    return Answer(outcome, rules[0] if len(rules) == 1 else None, reason="partial", mode="monitor")  # type: ignore[arg-type]


def _rules(diagnostics: Any) -> list[str]:
    """Return the ids of the policies that settled it: the ``@id`` that the author gave, else the parser's number."""
    given = cast("Mapping[str, str]", getattr(diagnostics, "id_annotations_by_reason", None) or {})
    return [given.get(rule) or rule for rule in cast("list[str]", diagnostics.reasons)]
