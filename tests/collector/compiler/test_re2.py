# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Rules in RE2 syntax, held to the rules themselves by RE2's own library; Go's regexp has the same syntax."""

from __future__ import annotations

import pytest
import re2

from runrecord.collector.compiler.re2 import translate
from runrecord.processors.redaction.packs import PACKS
from runrecord.processors.redaction.rule import Rule

RULES = {rule.id: rule for pack in PACKS.values() for rule in (pack() if callable(pack) else pack)}
QUIET = re2.Options()
QUIET.log_errors = False


def replaced(rule: Rule, text: str) -> str:
    pattern = re2.compile(translate(rule).pattern, options=QUIET)
    for _ in range(2):  # as the compiled configuration does
        text = pattern.sub(rf"\1[{rule.kind.upper()}]\2", text)
    return text


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_every_rule_can_be_said(rule):
    assert re2.compile(translate(rule).pattern, options=QUIET).groups == 2
    for example in rule.examples:
        assert f"[{rule.kind.upper()}]" in replaced(rule, example), example


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_what_is_faithful_leaves_alone_what_the_rule_leaves_alone(rule):
    if translate(rule).exact and rule.validator is None:
        for text in rule.counter_examples:
            assert replaced(rule, text) == text


def rule(exact, left="word", **more):
    return Rule("test-rule", seed="aaaa", exact=exact, left=left, **more)


@pytest.mark.parametrize(
    ("given", "text", "expected"),
    [
        (rule("ab[0-9]{3}(?![0-9])"), "ab123 ab1234 xab123 ab124", "[T] ab1234 xab123 [T]"),
        (rule("ab[0-9]{3}(?![0-9])"), "ab123,ab456,ab789", "[T],[T],[T]"),
        (rule("ab[0-9]{3}(?![0-9A-Za-z_]|[.-][0-9])"), "ab123.4 ab123. ab123-x ab123", "ab123.4 [T]. [T]-x [T]"),
        (rule("ab[0-9]{3}"), r"\nab123 \u0041ab123 %20ab123 nab123", r"\n[T] \u0041[T] %20[T] nab123"),
        (rule("ab[0-9]{3}", left="token"), "x-ab123 ab123", "x-ab123 [T]"),
        (rule("[0-9]{4}(?![0-9])", left="number"), "1.2345 x.6789 -6789 1-2345 6789", "1.2345 x.[T] -[T] 1-2345 [T]"),
        (rule("key=(?P<v>[a-z]{3});", left="any"), "key=abc; xkey=def;", "key=[T]; xkey=[T];"),
        (rule("(?:k=(?P<v>[a-z]{3})|j)", left="any"), "k=abc", "[T]"),
        (rule("[a-z]{4}", context=("pin",)), "PIN is: abcd", "PIN is: [T]"),
        (rule("ab{3,5000}c", left="any"), "abbbbc", "[T]"),
        (rule("a(?=b)[a-z]{2}(?P<q>x)(?P=q)", left="any"), "aaaa of it\nnext", "[T]\nnext"),
    ],
)  # fmt: skip
def test_how(given, text, expected):
    assert replaced(given, text).replace("[TEST_RULE]", "[T]") == expected


def test_more_is_said_to_be_more():
    assert translate(rule("ab[0-9]{3}(?![0-9])")).exact
    assert not translate(rule("ab(?!x)[0-9]{3}")).exact
    assert not translate(rule("ab[0-9]{3}(?!(?:x|y))")).exact
    assert not translate(RULES["private-key"]).exact
