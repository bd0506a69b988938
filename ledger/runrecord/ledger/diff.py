# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What changed between two runs: versions and prompts, models, tools, policies, approvals, retrieval, costs, and the path taken.

Contents are commitments under a key of each run, so that two runs can't be compared by them: whether the same prompt had other words
shows in its version only. Everything here is what the entries hold in clear.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.runs import RunView
from runrecord.semconv import attributes as names

_VERSIONS: Final = {
    "agent": names.VERSION_AGENT,
    "agent (gen_ai)": names.GEN_AI_AGENT_VERSION,
    "code": names.VERSION_CODE,
    "tool schema": names.VERSION_TOOL_SCHEMA,
}
_TOKENS: Final = {
    "input tokens": names.GEN_AI_USAGE_INPUT_TOKENS,
    "output tokens": names.GEN_AI_USAGE_OUTPUT_TOKENS,
}
_PATH: Final = {
    Kind.STEP: "step",
    Kind.TOOL_RESULT: "tool",
    Kind.MODEL_CALL: "model",
    Kind.POLICY_DECISION: "policy",
    Kind.APPROVAL_REQUEST: "asked for approval",
    Kind.APPROVAL_DECISION: "approval",
    Kind.ESCALATION: "escalation",
    Kind.COMPENSATION: "compensation",
    Kind.VERIFICATION: "verification",
}


@dataclass(frozen=True)
class Change:
    """One thing that is not the same.

    Attributes:
        section: What it is about.
        name: What it is.
        before: In the first run; empty if it was not there.
        after: In the second run; empty if it is not there.
    """

    section: str
    name: str
    before: str
    after: str


@dataclass(frozen=True)
class PathLine:
    """One place of the path taken.

    Attributes:
        mark: A blank if both runs passed it, ``-`` if the first alone did, ``+`` if the second alone did.
        text: What happened there.
    """

    mark: str
    text: str


@dataclass(frozen=True)
class RunDiff:
    """The difference of two runs.

    Attributes:
        changes: What is not the same, section by section.
        path: Both paths, side by side.
    """

    changes: tuple[Change, ...]
    path: tuple[PathLine, ...]

    @property
    def same(self) -> bool:
        """Whether nothing changed."""
        return not self.changes and all(line.mark == " " for line in self.path)


def diff_runs(first: RunView, second: RunView) -> RunDiff:
    """Compare two runs.

    Args:
        first: The one before.
        second: The one after.
    """
    changes: list[Change] = []
    for section, facts in _SECTIONS.items():
        before, after = facts(first), facts(second)
        changes += (
            Change(section, name, before.get(name, ""), after.get(name, ""))
            for name in dict.fromkeys((*before, *after))
            if before.get(name, "") != after.get(name, "")
        )
    return RunDiff(tuple(changes), tuple(_paths(_path(first), _path(second))))


def _run(view: RunView) -> dict[str, str]:
    closes = [record.entry for record in view.closes]
    return _present(
        {
            "agent": view.agent,
            "outcome": view.outcome,
            "stop reason": _all(closes, names.RUN_STOP_REASON),
            "autonomy": _all(closes, names.RUN_AUTONOMY),
            "principal type": _all(closes, names.PRINCIPAL_TYPE),
            "verdict": view.completeness.verdict.value,
            "segments": str(len(view.closes)),
        }
    )


def _versions(view: RunView) -> dict[str, str]:
    return _present({name: _all(_entries(view), attribute) for name, attribute in _VERSIONS.items()})


def _prompts(view: RunView) -> dict[str, str]:
    found = {"version": _all(_entries(view), names.VERSION_PROMPT)}
    for entry in _entries(view):
        if name := entry.text(names.GEN_AI_PROMPT_NAME):
            found[name] = entry.text(names.GEN_AI_PROMPT_VERSION) or "without a version"
    return _present(found)


def _models(view: RunView) -> dict[str, str]:
    found: dict[str, Counter[str]] = {}
    for entry in _entries(view):
        asked, answered = entry.text(names.GEN_AI_REQUEST_MODEL), entry.text(names.GEN_AI_RESPONSE_MODEL)
        if asked or answered:
            provider = entry.text(names.GEN_AI_PROVIDER_NAME)
            counter = found.setdefault(
                f"{asked or answered}{f' of {provider}' if provider else ''}", Counter()
            )
            counter[answered or asked] += 1
    return {name: _counted(counter) for name, counter in found.items()}


def _tools(view: RunView) -> dict[str, str]:
    found: dict[str, Counter[str]] = {}
    for call in view.calls:
        effect = "changed something" if call.may_change_something and call.took_effect else "changed nothing"
        if call.entry.status == "error":
            effect = f"failed, {effect}"
        found.setdefault(call.tool, Counter())[effect] += 1
    return {name: _counted(counter) for name, counter in found.items()}


def _policies(view: RunView) -> dict[str, str]:
    found: dict[str, Counter[str]] = {}
    for record in view.decisions:
        entry = record.entry
        policy = entry.text(names.POLICY_ID) or entry.text(names.POLICY_NAME) or "a policy without a name"
        version = entry.text(names.POLICY_VERSION)
        outcome = entry.text(names.DECISION_OUTCOME) or "without an outcome"
        subject = entry.text(names.SUBJECT_NAME)
        told = f"{outcome} {subject}".strip() + (f" (version {version})" if version else "")
        found.setdefault(policy, Counter())[told] += 1
    if versions := _all(_entries(view), names.VERSION_POLICY):
        found["version"] = Counter([versions])
    return {name: _counted(counter) for name, counter in found.items()}


def _approvals(view: RunView) -> dict[str, str]:
    found: dict[str, Counter[str]] = {}
    for approval in view.approvals:
        by = next(
            (
                f" by {who}"
                for record in reversed(approval.answers)
                if (
                    who := record.entry.text(names.APPROVAL_ACTOR_REF)
                    or record.entry.text(names.APPROVAL_ACTOR_TYPE)
                )
            ),
            "",
        )
        found.setdefault(approval.subject_name or "something", Counter())[f"{approval.status}{by}"] += 1
    return {name: _counted(counter) for name, counter in found.items()}


def _retrieval(view: RunView) -> dict[str, str]:
    return _present({"index version": _all(_entries(view), names.VERSION_RETRIEVAL_INDEX)})


def _costs(view: RunView) -> dict[str, str]:
    money: dict[str, float] = {}
    for entry in _stating(view, names.COST_AMOUNT):
        currency = entry.text(names.COST_CURRENCY) or "no currency"
        money[currency] = money.get(currency, 0.0) + (entry.number(names.COST_AMOUNT) or 0.0)
    found = {f"cost in {currency}": f"{amount:.6g}" for currency, amount in sorted(money.items())}
    for name, attribute in _TOKENS.items():
        count = sum(entry.integer(attribute) or 0 for entry in _stating(view, attribute))
        if count:
            found[name] = str(count)
    found["steps"] = str(len([step for step in view.steps if step.index is not None]))
    found["tool calls"] = str(len(view.calls))
    return found


def _stating(view: RunView, attribute: str) -> list[Entry]:
    """Return who states an amount: the segments of the run if they do, since theirs is the sum, else its parts."""
    closes = [record.entry for record in view.closes if record.entry.number(attribute) is not None]
    return closes or [entry for entry in _entries(view) if entry.number(attribute) is not None]


_SECTIONS: Final[dict[str, Callable[[RunView], dict[str, str]]]] = {
    "run": _run,
    "versions": _versions,
    "prompts": _prompts,
    "models": _models,
    "tools": _tools,
    "policies": _policies,
    "approvals": _approvals,
    "retrieval": _retrieval,
    "costs": _costs,
}


def _path(view: RunView) -> list[str]:
    return [_told(record.entry) for record in view.records if record.entry.kind in _PATH]


def _told(entry: Entry) -> str:
    what = _PATH[entry.kind]
    name = next(
        (
            text
            for attribute in (
                names.STEP_NAME,
                names.GEN_AI_TOOL_NAME,
                names.SUBJECT_NAME,
                names.GEN_AI_REQUEST_MODEL,
            )
            if (text := entry.text(attribute))
        ),
        "",
    )
    outcome = next(
        (
            text
            for attribute in (names.DECISION_OUTCOME, names.APPROVAL_STATUS, names.VERIFICATION_OUTCOME)
            if (text := entry.text(attribute))
        ),
        "error" if entry.status == "error" else "",
    )
    return " ".join(filter(None, (what, name))) + (f": {outcome}" if outcome else "")


def _paths(before: list[str], after: list[str]) -> Iterable[PathLine]:
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from (PathLine(" ", text) for text in before[i1:i2])
        else:
            yield from (PathLine("-", text) for text in before[i1:i2])
            yield from (PathLine("+", text) for text in after[j1:j2])


def _entries(view: RunView) -> list[Entry]:
    return [record.entry for record in view.records]


def _all(entries: Iterable[Entry], attribute: str) -> str:
    """Return all values of an attribute, each once, in the order they came."""
    return ", ".join(dict.fromkeys(text for entry in entries if (text := entry.text(attribute))))


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in sorted(counter.items()))


def _present(facts: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in facts.items() if text}
