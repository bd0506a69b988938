# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What changed between two runs, each section with a change that shows and one that does not."""

from __future__ import annotations

import pytest

from runrecord.ledger import Kind
from runrecord.ledger.diff import diff_runs


def run(build, name, **changed):
    """A run with something of every section; ``changed`` replaces single values."""
    v = {
        "prompt": "7", "named": "3", "model": "gpt-9", "answered": "gpt-9-0101", "tool": "lookup_order", "policy": "2026-01",
        "outcome": "allow", "approver": "user:ada", "index": "docs-1", "amount": 0.25, "tokens": 100, "code": "abc", "stop": "done",
        **changed,
    }  # fmt: skip
    b = build(name)
    b.begin()
    b.add(Kind.MODEL_CALL, "chat", gen_ai__request__model=v["model"], gen_ai__response__model=v["answered"],
          gen_ai__prompt__name="triage", gen_ai__prompt__version=v["named"])  # fmt: skip
    b.tool("call_1", v["tool"], effect="read", step=0)
    b.add(Kind.POLICY_DECISION, "decide", runrecord__policy__id="refunds", runrecord__policy__version=v["policy"],
          runrecord__decision__outcome=v["outcome"], runrecord__subject__name="refund")  # fmt: skip
    b.add(Kind.APPROVAL_REQUEST, "ask", runrecord__approval__id="a1", runrecord__subject__name="refund")
    b.add(Kind.APPROVAL_DECISION, "answer", runrecord__approval__id="a1", runrecord__approval__status="approved",
          runrecord__approval__actor__ref=v["approver"])  # fmt: skip
    b.step(0)
    b.close(
        runrecord__version__prompt=v["prompt"], runrecord__version__retrieval_index=v["index"],
        runrecord__version__code=v["code"], runrecord__run__stop_reason=v["stop"],
        runrecord__cost__amount=v["amount"], runrecord__cost__currency="USD", gen_ai__usage__input_tokens=v["tokens"],
    )  # fmt: skip
    return b.view()


def test_the_same_run_twice_is_the_same(build):
    found = diff_runs(run(build, "one"), run(build, "two"))
    assert found.same, found


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"prompt": "8"}, ("prompts", "version", "7", "8")),
        ({"named": "4"}, ("prompts", "triage", "3", "4")),
        ({"answered": "gpt-9-0202"}, ("models", "gpt-9", "1 x gpt-9-0101", "1 x gpt-9-0202")),
        ({"policy": "2026-02"}, ("policies", "refunds", "1 x allow refund (version 2026-01)", "1 x allow refund (version 2026-02)")),
        ({"approver": "user:bob"}, ("approvals", "refund", "1 x approved by user:ada", "1 x approved by user:bob")),
        ({"index": "docs-2"}, ("retrieval", "index version", "docs-1", "docs-2")),
        ({"amount": 0.75}, ("costs", "cost in USD", "0.25", "0.75")),
        ({"tokens": 150}, ("costs", "input tokens", "100", "150")),
        ({"code": "def"}, ("versions", "code", "abc", "def")),
        ({"stop": "budget"}, ("run", "stop reason", "done", "budget")),
    ],
)  # fmt: skip
def test_one_thing_that_changed_is_the_only_one_that_shows(build, changed, expected):
    found = diff_runs(run(build, "one"), run(build, "two", **changed))
    assert [(c.section, c.name, c.before, c.after) for c in found.changes] == [expected]
    assert not found.same


def test_another_tool_is_another_path(build):
    found = diff_runs(run(build, "one"), run(build, "two", tool="find_order"))
    assert [(c.section, c.name, bool(c.before), bool(c.after)) for c in found.changes] == [
        ("tools", "lookup_order", True, False),
        ("tools", "find_order", False, True),
    ]
    assert [(line.mark, line.text) for line in found.path if line.mark != " "] == [
        ("-", "tool lookup_order"),
        ("+", "tool find_order"),
    ]


def test_a_denial_shows_in_policies_and_path(build):
    found = diff_runs(run(build, "one"), run(build, "two", outcome="deny"))
    assert [c.section for c in found.changes] == ["policies"]
    assert [line.text for line in found.path if line.mark == "+"] == ["policy refund: deny"]


def test_amounts_of_the_run_are_not_added_to_those_of_its_parts(build):
    def spent(name, amount):
        b = build(name)
        b.begin()
        b.add(Kind.MODEL_CALL, "chat", runrecord__cost__amount=amount, runrecord__cost__currency="USD")
        b.close(runrecord__cost__amount=0.5, runrecord__cost__currency="USD")
        return b.view()

    assert diff_runs(spent("one", 0.5), spent("two", 0.1)).same
