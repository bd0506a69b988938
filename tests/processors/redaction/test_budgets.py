# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Texts made to be slow: the work is counted, and what is over budget is never passed on unseen."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace

import pytest

from runrecord.processors import RedactionError, Signal
from runrecord.processors.redaction import RedactionPolicy, Redactor, confirm, redactor, walker

KEY = "AKIA" + "QX7PLACEHOLDER77"
SIZE = 1 << 20
HEADER = "-----BEGIN " + "PRIVATE KEY-----"
SHAPES = {
    "digits": "1234567890",
    "ones": "1",
    "floats": "0.12345678901234567, -0.98765432109876543, ",
    "dotted": "1.1.1.1.",
    "uuids": "1b4e28ba-2fa1-11d2-883f-0016d3cca427 ",
    "hex": "0123456789abcdef",
    "headers": HEADER,
    "at signs": "@",
    "locals": "a",
    "json web tokens": "eyJ",
    "hyphenated json web tokens": "-eyJ",
    "passwords": "password=",
    "quotes": "password='",
    "double quotes": 'password="',
    "backslashes": "\\",
    "escaped quotes": 'password=\\"',
    "urls": "://",
    "url users": "://a:",
    "braces": "{[",
    "spaces": "password ",
    "bearer": "bearer ",
    "colons": "2001:",
    "ibans": "DE89",
}


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts candidates, and walks by mode."""
    counted: Counter[str] = Counter()
    count = confirm.Work.confirm
    start = walker.Walk.run

    def confirm_and_count(self: confirm.Work) -> None:
        counted["confirms"] += 1
        count(self)

    def run_and_count(self: walker.Walk, message: object) -> bytes:
        counted[self._mode.value] += 1
        return start(self, message)

    monkeypatch.setattr(confirm.Work, "confirm", confirm_and_count)
    monkeypatch.setattr(walker.Walk, "run", run_and_count)
    return counted


@pytest.mark.parametrize("engine", ["hyperscan", "re2", "stdlib"])
@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_a_megabyte_of_it_costs_few_candidates(
    otlp: SimpleNamespace, work: Counter[str], shape: str, engine: str
) -> None:
    size = SIZE if engine == "hyperscan" else SIZE // 8
    text = (SHAPES[shape] * (size // len(SHAPES[shape]))) + f" {KEY} "
    redaction = Redactor(RedactionPolicy(), engine=engine).redact(
        Signal.TRACES, otlp.span_request(("k", text))
    )
    assert KEY.encode() not in redaction.body
    assert work["confirms"] < 110_000


@pytest.mark.parametrize(
    "shape",
    [
        '{"a":',
        '{"a":[',
        '"',
        "\\",
        '\\"',
        '{"a":"',
        "{",
        "}",
        ":",
        '"a":',
        '{"' + "k" * 4000 + '":',
        '\\\\\\"a\\\\\\":',
        "\\n",
    ],
)
def test_keys_are_looked_for_in_linear_space(otlp: SimpleNamespace, shape: str) -> None:
    policy = RedactionPolicy.parse({"keys": [{"match": "*.password", "action": "mask", "inside_json": True}]})
    text = shape * (SIZE // 2 // len(shape)) + ' {"password": "x"}'
    redaction = Redactor(policy).redact(
        Signal.TRACES, otlp.span_request(("k", text), ("j", '{"password": "x"}'))
    )
    assert otlp.span_of(redaction.body).attributes[1].value.string_value == '{"password": "*"}'


@pytest.mark.parametrize("shape", ["digits", "floats", "dotted", "uuids"])
def test_digits_are_settled_by_the_strict_seeds(
    otlp: SimpleNamespace, work: Counter[str], shape: str
) -> None:
    text = SHAPES[shape] * (SIZE // len(SHAPES[shape])) + " 4111 1111 1111 1111"
    redaction = Redactor(RedactionPolicy(), engine="hyperscan").redact(
        Signal.TRACES, otlp.span_request(("k", text))
    )
    assert redaction.counts["card"] == 1
    assert work["everything"] == 0
    assert work["confirms"] < 100


def test_hits_over_the_budget_take_the_slow_path_and_lose_nothing(
    otlp: SimpleNamespace, work: Counter[str]
) -> None:
    text = "ada@example.com " * 20_000
    redaction = Redactor(RedactionPolicy(), engine="hyperscan").redact(
        Signal.TRACES, otlp.span_request(("k", text))
    )
    assert otlp.span_of(redaction.body).attributes[0].value.string_value == "[EMAIL] " * 20_000
    assert work["everything"] == 1
    assert redaction.counts == {"email": 20_000}


def test_a_text_over_its_budget_is_replaced_as_a_whole(otlp: SimpleNamespace) -> None:
    policy = RedactionPolicy.parse({"limits": {"leaf_confirms": 3}})
    body = otlp.span_request(("k", "a@b.example " * 4), ("z", f"a@b.example and {KEY}"))
    redaction = Redactor(policy).redact(Signal.TRACES, body)
    values = [attribute.value.string_value for attribute in otlp.span_of(redaction.body).attributes[:2]]
    assert values == ["[REDACTED]", "[EMAIL] and [AWS_ACCESS_KEY]"]
    assert redaction.counts == {"over-budget": 1, "email": 1, "aws-access-key": 1}


@pytest.mark.parametrize("on_error", ["reject", "quarantine"])
def test_a_request_over_its_budget_is_refused(otlp: SimpleNamespace, on_error: str) -> None:
    policy = RedactionPolicy.parse({"limits": {"request_confirms": 3}, "on_error": on_error})
    body = otlp.span_request(("k", "a@b.example " * 4))
    with pytest.raises(RedactionError, match="more than 3 candidates in one request") as raised:
        Redactor(policy).redact(Signal.TRACES, body)
    assert raised.value.disposition == on_error
    assert not raised.value.malformed


def test_a_request_over_its_budget_is_masked_if_the_policy_says_so(otlp: SimpleNamespace) -> None:
    policy = RedactionPolicy.parse({"limits": {"request_confirms": 3}, "on_error": "mask_all"})
    body = otlp.span_request(("gen_ai.input.messages", "a@b.example " * 4), (KEY, "x"), name=f"chat {KEY}")
    redaction = Redactor(policy).redact(Signal.TRACES, body)
    span = otlp.span_of(redaction.body)
    assert span.name == "[REDACTED]"
    assert [(attribute.key, attribute.value.string_value) for attribute in span.attributes[:2]] == [
        ("gen_ai.input.messages", "[REDACTED]"),
        ("[REDACTED]", "[REDACTED]"),
    ]
    said = {attribute.key: attribute.value for attribute in span.attributes[2:]}
    assert said["runrecord.redaction.failed"].bool_value
    assert redaction.counts == {"mask-all": 4}
    again = Redactor(RedactionPolicy()).redact(Signal.TRACES, redaction.body)
    assert again.body is redaction.body


def test_an_engine_that_fails_never_lets_a_request_pass(
    otlp: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    redact = Redactor(RedactionPolicy(), engine="stdlib")

    def fail(*_: object) -> None:
        raise ValueError(f"cannot scan {KEY}")

    monkeypatch.setattr(redact._fast, "scan", fail)
    with pytest.raises(RedactionError, match=r"redaction failed \(ValueError\)") as raised:
        redact.redact(Signal.TRACES, otlp.span_request(("k", KEY)))
    assert raised.value.__cause__ is None
    assert KEY not in str(raised.value)
    assert redactor.Redactor is Redactor


def test_annotations_that_a_sender_has_made_up_cost_linear_time(otlp: SimpleNamespace) -> None:
    """Every one of them is asked whether something in it was edited; a quadratic way takes hours."""
    number = 20_000
    body = otlp.span_request(*[("runrecord.redaction.count", "a@b.example")] * number)
    redaction = Redactor(RedactionPolicy()).redact(Signal.TRACES, body)
    said = [attribute.key for attribute in otlp.span_of(redaction.body).attributes]
    assert said == [f"runrecord.redaction.{name}" for name in ("rules", "count", "kinds")]
    assert redaction.counts == {"email": number}


def test_conditions_are_read_once_for_a_record(otlp: SimpleNamespace) -> None:
    number = 20_000
    policy = RedactionPolicy.parse(
        {"keys": [{"match": "secret", "action": "token", "tool": "none", "environment": "x"}]}
    )
    body = otlp.span_request(*[("secret", "x")] * number)
    assert Redactor(policy).redact(Signal.TRACES, body).body is body


@pytest.mark.parametrize(
    "text",
    [
        "[" * 400_000,
        '{"a":' * 200_000,
        "[" + "1" * 400_000 + "]",
        "[" + "[1]," * 100_000 + "1]",
        '{"' + '":1,"'.join(map(str, range(60_000))) + '":1}',
        '"' + "\\u0000" * 60_000 + '"',
        '"' + "\\ud800" * 60_000 + '"',
    ],
    ids=["arrays", "objects", "digits", "members", "keys", "escapes", "surrogates"],
)
def test_json_that_is_hard_to_cut_is_cut(otlp: SimpleNamespace, text: str) -> None:
    policy = RedactionPolicy.parse({"limits": {"attribute_bytes": 2048}})
    redaction = Redactor(policy).redact(Signal.TRACES, otlp.span_request(("k", text)))
    kept = otlp.span_of(redaction.body).attributes[0].value.string_value
    assert len(kept.encode()) <= 2048
    assert "TRUNCATED" in kept


@pytest.mark.parametrize("text", ['[1e999, "%s"]', '[NaN, "%s"]', '{"a": -1e400, "b": "%s"}'])
def test_what_is_cut_holds_no_infinity(otlp: SimpleNamespace, text: str) -> None:
    policy = RedactionPolicy.parse({"limits": {"attribute_bytes": 256}})
    redaction = Redactor(policy).redact(Signal.TRACES, otlp.span_request(("k", text % ("x " * 400))))
    kept = otlp.span_of(redaction.body).attributes[0].value.string_value
    assert "Infinity" not in kept
    assert "NaN" in kept or json.loads(kept)


def test_a_secret_that_was_escaped_is_found_when_its_json_is_written_anew(otlp: SimpleNamespace) -> None:
    policy = RedactionPolicy.parse({"limits": {"attribute_bytes": 512}})
    escaped = "".join(f"\\u{ord(char):04x}" for char in KEY)
    text = json.dumps({"a": "ESCAPED", "b": "x " * 400}).replace("ESCAPED", escaped)
    kept = otlp.span_of(
        Redactor(policy).redact(Signal.TRACES, otlp.span_request(("k", text))).body
    ).attributes[0]
    assert json.loads(kept.value.string_value)["a"] == "[AWS_ACCESS_KEY]"


def test_headers_without_an_end_cost_one_search_for_it(otlp: SimpleNamespace, work: Counter[str]) -> None:
    text = (HEADER + " x\n") * 20_000
    redaction = Redactor(RedactionPolicy()).redact(Signal.TRACES, otlp.span_request(("k", text)))
    assert HEADER.encode() not in redaction.body
    assert work["confirms"] < 25_000
