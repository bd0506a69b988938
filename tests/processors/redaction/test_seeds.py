# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What is told about seeds and their hits without visiting a field is never wrong in the direction that would lose a match."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.processors import Signal
from runrecord.processors.redaction import PACKS, RedactionPolicy, Redactor, Rule
from runrecord.processors.redaction.seeds import (
    DigitAhead,
    NumberStart,
    alternatives,
    has_capitals,
    has_literal,
)
from runrecord.processors.redaction.walker import Mode
from runrecord.processors.redaction.wire import delimited

RULES = [rule for rules in PACKS.values() for rule in rules]
CARD = b"4111111111111111"


@pytest.mark.parametrize(
    ("seed", "parts"),
    [
        ("(?:a|b[|)]|(?:c|d)e)", ["a", "b[|)]", "(?:c|d)e"]),
        (r"(?:a\)|b)", [r"a\)", "b"]),
        ("(?:a|b)c", ["(?:a|b)c"]),
        ("(?:a|b)(?:c|d)", ["(?:a|b)(?:c|d)"]),
        ("(?i:a|b)", ["(?i:a|b)"]),
        ("abc", ["abc"]),
    ],
)
def test_a_group_of_alternatives_is_taken_apart(seed: str, parts: list[str]) -> None:
    assert alternatives(seed) == parts


def test_the_alternatives_of_every_curated_seed_are_regexes() -> None:
    for rule in RULES:
        joined = "|".join(f"(?:{part})" for part in alternatives(rule.seed))
        for example in (*rule.examples, *rule.counter_examples):
            spans = [
                {hit.span() for hit in re.finditer(regex.encode("latin-1"), example.encode(), re.DOTALL)}
                for regex in (rule.seed, joined)
            ]
            assert spans[0] == spans[1], rule.id


@pytest.mark.parametrize(
    ("seed", "certain"),
    [
        ("AKIA[A-Z0-9]{16}", True),
        ("(?i:nhs)[^a-z]", True),
        (r"[0-9]\.eyJ", True),
        (r"\xd0\x95", True),
        ("[0-9]{3}-[0-9]{2}", False),
        ("(?:18|19)?[0-9]{6}[-+]", False),
        ("A{20}[0-9]", False),
        (r"\+[1-9]", False),
    ],
)
def test_a_literal_is_seen(seed: str, certain: bool) -> None:
    assert has_literal(seed) is certain


def test_classes_of_capitals_are_told_from_others() -> None:
    assert has_capitals("[A-Z]{2}[0-9]{2}")
    assert has_capitals("[0-9]{7}[ -]?[TRWAGMYFPDXBNJZSQVHLCKE]")
    assert not any(map(has_capitals, ("[A-Za-z0-9]{8}", "[0-9A-F]{4}", "[^0-9]x", "[0-9]{4}")))


@pytest.mark.parametrize(
    "seed", ["[0-9]{2,3}", "[0-9]?x", "a+b", "(?:a|b)c", ".", "(?:[0-9]{2}|[0-9]{1,2}x)"]
)
def test_a_seed_without_a_fixed_length_tells_no_beginning(seed: str) -> None:
    with pytest.raises(ValueError, match="no fixed length"):
        NumberStart(seed)


@pytest.mark.parametrize(
    ("before", "begins"),
    [
        (b"see ", True),
        (b"a.", True),
        (b"caf\\u00e9", True),
        (b"%20", True),
        (b"see 0.", False),
        (b"see 7", False),
        (b"see 1234567.5", False),
    ],
)
def test_where_a_number_begins_in_a_text(before: bytes, begins: bool) -> None:
    body = b"some text " + before + CARD + b" "
    assert NumberStart("(?:[2-6][0-9]{13}|[0-9]{3}-[0-9]{2})")(body, len(body) - 3) is begins


@given(
    number=st.integers(1, 2**28),
    dot=st.booleans(),
    size=st.integers(0, 300) | st.integers(5900, 7500),
    before=st.binary(max_size=8) | st.sampled_from([b"1", b"22", b"4.", b"2.5"]),
)
def test_a_number_at_the_beginning_of_any_field_is_looked_at(
    number: int, dot: bool, size: int, before: bytes
) -> None:
    text = b"." * dot + CARD + b"x" * size
    body = b"\x0a\x03xyz" + before + delimited(number, text)
    assert NumberStart("[2-6][0-9]{13}")(body, body.index(text) + dot + 14)


def test_a_word_without_a_number_costs_no_visit() -> None:
    redactor = Redactor(RedactionPolicy())
    rule = next(rule for rule in redactor.rules if rule.id == "us-passport")
    bare = delimited(1, delimited(2, delimited(2, delimited(5, b"a passport, " + b"and words " * 40))))
    assert redactor._scan(bare) == ([], Mode.HITS)
    numbered = delimited(1, delimited(2, delimited(2, delimited(5, b"passport " + b"9" * 9))))
    assert redactor.redact(Signal.TRACES, numbered).counts == {rule.id: 1}
    assert not DigitAhead(3)(b"word    1", 4)
    assert DigitAhead(5)(b"word    1", 4)


def test_rules_that_a_word_tells_ask_for_a_digit() -> None:
    near = re.compile(re.escape(r"[^0-9\x00-\x08]{0,40}?"))
    words: list[Rule] = [rule for rule in RULES if near.search(rule.exact)]
    assert len(words) > 20
    assert all(rule.digit_within for rule in words)
