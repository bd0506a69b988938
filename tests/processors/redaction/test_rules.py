# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Each rule finds its examples wherever they stand, and leaves its counter-examples alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runrecord.processors import PolicyError, Signal
from runrecord.processors.redaction import PACKS, RedactionPolicy, Redactor, Rule, load_rules
from runrecord.processors.redaction.confirm import Confirmer, Work

RULES = [rule for rules in PACKS.values() for rule in rules]
ONE = {rule.id: RedactionPolicy(rules={other.id: {"enabled": False} for other in RULES if other is not rule})
       for rule in RULES}  # fmt: skip
BY_ID = pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])


def work() -> Work:
    return Work(leaf_limit=10_000, request_limit=10_000)


def positions(example: str) -> dict[str, str]:
    """The example at every kind of place."""
    twice = json.dumps({"outer": json.dumps({"inner": [f"x {example} y"]})})
    return {
        "alone": example,
        "after a line": f"one\n{example}",
        "before a line": f"{example}\ntwo",
        "in words": f"see {example} there",
        "in JSON": json.dumps({"text": f"one\n{example}\ttwo"}),
        "in JSON twice": twice,
        "after an escape, by hand": rf'{{"t": "one\n{example}"}}'
        if '"' not in example and "\n" not in example
        else example,
        "after a unicode escape": f"\\u00fc{example}",
        "length 127": " " * (127 - len(example)) + example,
        "length 128": " " * (128 - len(example)) + example,
        "length 16383": "- " * 9000 + example
        if len(example) > 383
        else (" " * (16383 - len(example)) + example),
        "length 16384": example + " " * (16384 - len(example)),
    }


@BY_ID
@pytest.mark.parametrize("engine", ["hyperscan", "re2", "stdlib"])
def test_examples_are_found_on_the_wire(otlp: SimpleNamespace, rule: Rule, engine: str) -> None:
    assert rule.examples
    assert rule.counter_examples
    assert rule.description
    assert rule.source
    assert rule.licence
    redactor = Redactor(ONE[rule.id], engine=engine)
    for example in rule.examples:
        for where, text in positions(example).items():
            for body in (otlp.span_request(("k", text), ("z", "1")), otlp.span_request(name=text)):
                redaction = redactor.redact(Signal.TRACES, body)
                assert redaction.counts.get(rule.id), (where, text[-200:])
                assert len(redaction.body) != 0
                assert otlp.span_of(redaction.body)
                assert redactor.redact(Signal.TRACES, redaction.body).body == redaction.body, (
                    where,
                    text[-200:],
                )
            if text.startswith(("{", "[")) and where.startswith("in JSON"):
                span = otlp.span_of(redactor.redact(Signal.TRACES, otlp.span_request(("k", text))).body)
                json.loads(span.attributes[0].value.string_value)


@BY_ID
def test_counter_examples_are_left_alone(otlp: SimpleNamespace, rule: Rule) -> None:
    redactor = Redactor(ONE[rule.id])
    for example in rule.counter_examples:
        for text in (example, f"see {example} there", json.dumps({"text": f"one\n{example}\ntwo"})):
            body = otlp.span_request(("k", text))
            assert redactor.redact(Signal.TRACES, body).body is body, text


@BY_ID
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_match_contains_a_seed_and_a_keyword(rule: Rule, data: st.DataObject) -> None:
    exact = re.sub(r"\(\?<?[!=](?:[^()\\]|\\.|\((?:[^()\\]|\\.)*\))*\)", "", rule.exact)
    generated = data.draw(st.from_regex(re.compile(exact.encode("latin-1")), fullmatch=True))
    if rule.finder == "email":
        generated = b"a" + generated
    if not Confirmer([rule]).find(generated, [0], work()):
        generated = b" " + generated
    matches = Confirmer([rule]).find(generated, [0], work())
    for match in matches:
        assert match.end <= len(generated)
    if matches or re.search(exact.encode("latin-1"), generated):
        assert re.search(rule.seed.encode("latin-1"), generated, re.DOTALL)
        assert not rule.keywords or any(word.encode() in generated.lower() for word in rule.keywords)


def test_the_ids_are_unique_and_the_default_fits_re2() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    assert Redactor(RedactionPolicy(), engine="re2").engine_name == "re2"


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
        Rule(**fields)


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
    with pytest.raises(PolicyError, match="no pack 'other'; there are secrets, pii, acme"):
        RedactionPolicy.parse({"packs": ["other"]})


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
    ],
)
def test_a_wrong_rule_file_says_where(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(PolicyError, match=re.escape(message)):
        load_rules(path)
