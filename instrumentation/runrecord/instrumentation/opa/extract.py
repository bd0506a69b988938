# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a question to OPA and its answer say; pure functions."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from runrecord.instrumentation._content import UNSET
from runrecord.instrumentation._policy_engine import Answer, Policy

ALLOWS: Final = ("allow", "allowed", "permit", "permitted", "authorized")
DENIES: Final = ("deny", "denied", "denials", "violation", "violations")
UNDEFINED: Final = "opa.undefined_decision"

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_CODE: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}\Z")
_ERROR_STATUS: Final = 400


@dataclass(frozen=True)
class Decided:
    """What a document of OPA means."""

    policy: Policy
    answer: Answer


def decided(path: tuple[str, ...], document: Mapping[str, object], *, asks: bool) -> Decided | None:
    """Return the decision in an answer of the data API; None if the document is not one.

    Args:
        path: The parts of the path that was asked for.
        document: The body of the answer.
        asks: Whether an input was given; without one it may have been data that was read, so that more is
            needed than a Boolean under any name.
    """
    names = _names(path)
    if not names:
        return None
    revision = _revision(document.get("provenance"))
    package = "/".join(names[:-1] or names)
    if "result" not in document:
        return Decided(Policy(package, revision), Answer(error=UNDEFINED)) if asks else None
    result = document["result"]
    found = _verdict(names[-1] if len(names) == len(path) else "", result, asks=asks)
    if found is None:
        return None
    allowed, inside = found
    if inside is not None:
        package = "/".join(names)
    rule = inside or (names[-1] if len(names) > 1 else None)
    decision_id = document.get("decision_id")
    answer = Answer(
        "allow" if allowed else "deny",
        rule,
        reason=_reason(result),
        decision_id=decision_id if isinstance(decision_id, str) and decision_id else None,
    )
    return Decided(Policy(package, revision), answer)


def _names(path: tuple[str, ...]) -> list[str]:
    """Return the parts up to the first that is no identifier of Rego: behind it are keys of data, such as ids."""
    names: list[str] = []
    for part in path:
        if not _IDENTIFIER.match(part):
            break
        names.append(part)
    return names


def _verdict(rule: str, result: object, *, asks: bool) -> tuple[bool, str | None] | None:
    """Return whether ``result`` allows, and the rule inside of it that says so; None if it says neither."""
    if isinstance(result, bool):
        known = rule in ALLOWS or rule in DENIES
        return (result is not (rule in DENIES), None) if asks or known else None
    if rule in DENIES and isinstance(result, (list, dict)):
        return not result, None  # a set of denials, of which an empty one allows
    if not isinstance(result, dict):
        return None
    rules = cast("Mapping[str, object]", result)
    for name in ALLOWS:
        if isinstance(rules.get(name), bool):
            return rules[name] is True, name
    for name in DENIES:
        if isinstance(rules.get(name), (bool, list, dict)):
            return not rules[name], name
    return None


def _reason(result: object) -> str | None:
    """Return the member ``reason_code`` of a result, if it is a code; a sentence may quote the input."""
    code = cast("Mapping[str, object]", result).get("reason_code") if isinstance(result, dict) else None
    return code if isinstance(code, str) and _CODE.match(code) else None


def _revision(provenance: object) -> str | None:
    """Return the revision of the bundle that was active; of several, each with its name."""
    if not isinstance(provenance, dict):
        return None
    known = cast("Mapping[str, object]", provenance)
    bundles = known.get("bundles")
    if isinstance(bundles, dict):
        found = {
            name: str(bundle["revision"])
            for name, bundle in sorted(cast("Mapping[str, dict[str, object]]", bundles).items())
            if bundle.get("revision")
        }
        if len(found) == 1:
            return next(iter(found.values()))
        return ",".join(f"{name}={revision}" for name, revision in found.items()) or None
    revision = known.get("revision")
    return str(revision) if revision else None


def failed(path: tuple[str, ...], status: int, body: bytes) -> Decided | None:
    """Return that an HTTP answer says that the policy could not be evaluated; None if it does not."""
    names = _names(path)
    if status < _ERROR_STATUS or not names:
        return None
    code = (parsed(body) or {}).get("code")
    error = f"opa.{code}" if isinstance(code, str) and _CODE.match(code) else str(status)
    return Decided(Policy("/".join(names[:-1] or names)), Answer(error=error))


def raised(path: tuple[str, ...], error: BaseException) -> Decided | None:
    """Return that OPA could not be asked."""
    names = _names(path)
    return Decided(Policy("/".join(names[:-1] or names)), Answer(error=error)) if names else None


def parsed(body: object) -> Mapping[str, object] | None:
    """Return the JSON object in a body; None if there is none."""
    if not isinstance(body, (bytes, str)):
        return None
    try:
        document: object = json.loads(body)
    except ValueError:
        return None
    return cast("Mapping[str, object]", document) if isinstance(document, dict) else None


def inputs(body: object, parameter: str | None) -> object:
    """Return the input of a question: of the body, or the parameter of a GET; UNSET without one."""
    document = parsed(body)
    if document is not None and "input" in document:
        return document["input"]
    if parameter is None:
        return UNSET
    try:
        return cast("object", json.loads(parameter))
    except ValueError:
        return parameter
