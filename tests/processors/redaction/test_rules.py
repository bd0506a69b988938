# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What makes a rule sound, and rules from files and from other distributions."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from runrecord.processors import PolicyError, Signal
from runrecord.processors.redaction import PACKS, RedactionPolicy, Redactor, Rule, load_rules
from runrecord.processors.redaction.confirm import Confirmer, Work


def work() -> Work:
    return Work(leaf_limit=10_000, request_limit=10_000)


def test_two_rules_that_overlap_leave_nothing_of_either() -> None:
    first = Rule(id="first", seed="abcd", exact="abcd", left="any", examples=("abcd",))
    second = Rule(id="second", seed="cdef", exact="cdef", left="any", examples=("cdef",))
    (match,) = Confirmer([second, first]).find(b"xabcdefx", [0, 1], work())
    assert match == (1, 7, 1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": r"\babc"}, "must not hold assertions"),
        ({"seed": "abc$"}, "must not hold assertions"),
        ({"seed": "(?=abc)abc"}, "must not hold assertions"),
        ({"seed": "(abc)"}, "must not hold assertions"),
        ({"seed": "abc[0-9]+"}, "open repeat"),
        ({"seed": "abc[0-9]{20,}"}, "open repeat"),
        ({"seed": "(?:abc[0-9]*)"}, "open repeat"),
        ({"exact": "abc("}, "exact is no byte regex"),
        ({"id": "Upper"}, "lower-case words"),
        ({"validator": "nope"}, "no validator 'nope'; there are card"),
        ({"keywords": ("ABC",)}, "lower case"),
    ],
)
def test_an_unsound_rule_is_refused(changed: dict[str, str], message: str) -> None:
    fields = {"id": "a-rule", "seed": "abc", "exact": "abc[0-9]+", "examples": ("abc1",)} | changed
    with pytest.raises(PolicyError, match=re.escape(message)):
        Rule(**fields).check()


def test_rules_from_a_file(tmp_path: Path, otlp: SimpleNamespace) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "rules:\n- {id: order-number, seed: 'ORD-[0-9]{6}', exact: 'ORD-[0-9]{6}(?![0-9])', examples: [ORD-123456]}\n"
    )
    redactor = Redactor(RedactionPolicy(packs=(), rule_files=(path,)))
    redaction = redactor.redact(Signal.TRACES, otlp.span_request(("k", "see ORD-123456.")))
    assert otlp.span_of(redaction.body).attributes[0].value.string_value == "see [ORDER_NUMBER]."


def test_a_pack_of_another_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, otlp: SimpleNamespace
) -> None:
    (tmp_path / "acme_rules.py").write_text(
        "from runrecord.processors.redaction import Rule\n"
        "RULES = [Rule(id='acme-key', seed='acme_[0-9]{8}', exact='acme_[0-9]{8}', examples=('acme_12345678',))]\n"
        "WRONG = ['acme_[0-9]{8}']\n"
    )
    info = tmp_path / "acme-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[runrecord.detectors]\nacme = acme_rules:RULES\nwrong = acme_rules:WRONG\ngone = acme_rules:GONE\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    redactor = Redactor(RedactionPolicy(packs=("acme",)))
    assert redactor.redact(Signal.TRACES, otlp.span_request(("k", "acme_12345678"))).counts == {"acme-key": 1}
    with pytest.raises(PolicyError, match="item 1 is no Rule"):
        Redactor(RedactionPolicy(packs=("wrong",)))
    with pytest.raises(PolicyError, match="cannot be loaded: AttributeError"):
        Redactor(RedactionPolicy(packs=("gone",)))
    with pytest.raises(PolicyError) as refused:
        RedactionPolicy.parse({"packs": ["other"]})
    listed = str(refused.value).partition("no pack 'other'; there are ")[2].split(", ")
    assert listed[: len(PACKS)] == list(PACKS)
    assert {"acme", "wrong", "gone"} <= {name.strip("'.") for name in listed}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("3", "expected a list of rules"),
        ("- 3", "rule 1: expected a mapping"),
        ("- {id: a, seed: abc, exact: abc, examples: [abc], colour: red}", "unknown field 'colour'"),
        ("- {1: a, id: b}", "unknown field 1"),
        ("- {x: a, 2: b}", "unknown field 2"),
        ("- {id: a, seed: abc}", "'exact' is missing"),
        ("- {id: a, seed: abc, exact: abc, examples: [abc], action: burn}", "'action' must be one of token"),
        ("- {id: a, seed: abc, exact: abc, examples: [xyz]}", "example 1 is not found"),
        ("- {id: a, seed: xbc, exact: abc, examples: [abc]}", "example 1 has no match of the seed"),
        (
            "- {id: a, seed: abc, exact: abc, examples: [abc], counter_examples: [abc]}",
            "counter-example 1 is found",
        ),
        (
            "- {id: a, left: number, seed: '88[0-9]{2}', exact: '(?:19)?88[0-9]{2}', examples: ['ab 198812']}",
            "the seed does not begin where the match in example 1 does",
        ),
        (
            "- {id: a, left: number, seed: '[0-9]{3}-X', exact: '-?[0-9]{3}-X', examples: ['no -191-X']}",
            "the match in example 1 does not begin with the seed",
        ),
        (
            "- {id: a, seed: 'no', exact: 'no[^0-9]{0,30}[0-9]', digit_within: 4, examples: ['no          1']}",
            "the digit in example 1 is not within 'digit_within' bytes",
        ),
        (
            "- {id: a, seed: abc, exact: abc, examples: [abc], digit_within: few}",
            "'digit_within' must be a whole number, 0 or more",
        ),
    ],
)
def test_a_wrong_rule_file_says_where(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(PolicyError, match=re.escape(message)):
        load_rules(path)
