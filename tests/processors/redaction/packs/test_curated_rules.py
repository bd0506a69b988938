# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Each curated rule finds its examples wherever they stand, leaves its counter-examples alone, and has a sound seed."""

from __future__ import annotations

import json
import random
import re
from types import SimpleNamespace

import pytest
from generated_text import from_regex
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runrecord.processors import Signal
from runrecord.processors.redaction import PACKS, RedactionPolicy, Redactor, Rule
from runrecord.processors.redaction.confirm import Confirmer, Work
from runrecord.processors.redaction.engines import make_scanner
from runrecord.processors.redaction.leaf import ANY
from runrecord.processors.redaction.packs import build
from runrecord.processors.redaction.seeds import DigitAhead, number_start, strict_seed

RULES = list({rule.id: rule for rules in PACKS.values() for rule in rules}.values())
BY_ID = pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])
EVERYTHING = RedactionPolicy(packs=tuple(PACKS))
GENERATED = 12  # and for each alternative of the regex as many as make it likely to be taken


def only(rule: Rule) -> RedactionPolicy:
    return RedactionPolicy(
        packs=tuple(PACKS), rules={other.id: {"enabled": False} for other in RULES if other is not rule}
    )


def work() -> Work:
    return Work(leaf_limit=10_000, request_limit=10_000)


def positions(example: str) -> dict[str, str]:
    """The example at every kind of place."""
    by_hand = '"' not in example and "\n" not in example
    return {
        "alone": example,
        "after a line": f"one\n{example}",
        "before a line": f"{example}\ntwo",
        "in words": f"see {example} there",
        "in JSON": json.dumps({"text": f"one\n{example}\ttwo"}),
        "in JSON twice": json.dumps({"outer": json.dumps({"inner": [f"x {example} y"]})}),
        "after an escape, by hand": rf'{{"t": "one\n{example}"}}' if by_hand else example,
        "after a unicode escape": f"\\u00fc{example}",
        "length 127": " " * (127 - len(example)) + example,
        "length 128": " " * (128 - len(example)) + example,
        "length 16384": example + " " * (16384 - len(example)),
    }


def test_the_built_file_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """The build holds each rule to its examples and refuses unsound seeds, too few examples and unknown packs."""
    built = [json.dumps(rule, ensure_ascii=False) for rule in build.read()]
    assert "[\n" + ",\n".join(built) + "\n]\n" == build.RULES_FILE.read_text(encoding="utf-8")


def test_there_are_as_many_rules_as_we_say() -> None:
    assert len(PACKS["secrets"]) >= 200
    assert len({rule.id for rule in RULES}) == len(RULES)
    assert all(rule.source and rule.licence in {"Apache-2.0", "MIT"} for rule in RULES)


@BY_ID
def test_examples_are_found_on_the_wire(otlp: SimpleNamespace, rule: Rule) -> None:
    redactor = Redactor(only(rule))
    for example in rule.examples:
        for where, text in positions(example).items():
            body = otlp.span_request(("k", text), ("z", "1"), name="chat" if where != "alone" else text)
            redaction = redactor.redact(Signal.TRACES, body)
            assert redaction.counts.get(rule.id), (where, text[-200:])
            assert redactor.redact(Signal.TRACES, redaction.body).body == redaction.body, (where, text[-200:])
            if where.startswith("in JSON"):
                json.loads(otlp.span_of(redaction.body).attributes[0].value.string_value)
    for example in rule.counter_examples:
        for text in (example, f"see {example} there", json.dumps({"text": f"one\n{example}\ntwo"})):
            body = otlp.span_request(("k", text))
            assert redactor.redact(Signal.TRACES, body).body is body, text


@pytest.fixture(scope="module")
def found_by_regex() -> dict[str, list[bytes]]:
    """Texts made from the exact regex of each rule that it does match."""
    texts: dict[str, list[bytes]] = {}
    for rule in RULES:
        chance = random.Random(rule.id)
        made = [from_regex(rule.exact, chance) for _ in range(GENERATED + 4 * rule.exact.count("|"))]
        found = [match for text in made if (match := rule.pattern.search(b" " + text + b" "))]
        texts[rule.id] = [match.group() for match in found]
    return texts


def test_every_match_contains_the_seed_and_a_keyword(found_by_regex: dict[str, list[bytes]]) -> None:
    for rule in RULES:
        seed = re.compile(rule.seed.encode("latin-1"), re.DOTALL)
        texts = found_by_regex[rule.id]
        assert texts, f"nothing that was made from the regex of {rule.id} matches it"
        for text in texts:
            if rule.finder == "email":
                text = b"a" + text  # noqa: PLW2901  the finder reads the part before the @ itself
            hits = list(seed.finditer(text))
            assert hits, (rule.id, text)
            if rule.digit_within:
                assert any(DigitAhead(rule.digit_within)(text, hit.end()) for hit in hits), (rule.id, text)
            assert not rule.keyword_bytes or any(word in text.lower() for word in rule.keyword_bytes), rule.id


def test_the_seed_of_a_number_is_where_its_match_begins(found_by_regex: dict[str, list[bytes]]) -> None:
    """Digit-rich requests are scanned with what may stand before a number; an optional part before the seed hides it."""
    numbers = [rule for rule in RULES if rule.left == "number"]
    assert numbers
    for rule in numbers:
        strict = re.compile(strict_seed(rule.seed).encode("latin-1"), re.DOTALL)
        exact_start = number_start(rule) is not None
        for text in found_by_regex[rule.id]:
            assert not exact_start or re.match(rule.seed.encode("latin-1"), text), (rule.id, text)
            for before in (b" ", b"\x0a\x31", b"\x0a\x39.", b"\x12\xb9\x30", b"\\u00fc", b"%3D"):
                assert strict.search(before + text), (rule.id, before + text)


@pytest.mark.parametrize("engine", ["hyperscan", "re2", "stdlib"])
def test_every_match_is_hit_at_any_place_of_a_request(
    found_by_regex: dict[str, list[bytes]], engine: str
) -> None:
    """The bytes beside a text are its length and the next tag, whatever they are."""
    scanner = make_scanner(engine, [rule.seed for rule in RULES], [rule.keyword_bytes for rule in RULES])
    chance = random.Random(engine)
    for order, rule in enumerate(RULES):
        text = found_by_regex[rule.id][0]
        text = ("é" * chance.randrange(3) + " " * chance.randrange(200) + "a").encode() + text
        request = ExportTraceServiceRequest()
        span = request.resource_spans.add().scope_spans.add().spans.add(name="chat")
        span.attributes.add(key="k").value.bytes_value = text
        span.attributes.add(key="z").value.string_value = "1"
        body = request.SerializeToString()
        hits = scanner.scan(body, 1 << 30)
        assert hits is not None
        start, end = body.index(text), body.index(text) + len(text)
        assert any(hit.order in {order, ANY} and start <= hit.position < end for hit in hits), (rule.id, text)


def test_the_engines_agree_on_all_examples_at_once(otlp: SimpleNamespace) -> None:
    examples = [example for rule in RULES for example in (*rule.examples, *rule.counter_examples)]
    chance = random.Random(4)
    bodies = [
        otlp.span_request(*((f"k{n}", text) for n, text in enumerate(chance.sample(examples, 6))))
        for _ in range(40)
    ]
    made = {engine: Redactor(EVERYTHING, engine=engine) for engine in ("hyperscan", "re2", "stdlib")}
    for body in bodies:
        results = {engine: redactor.redact(Signal.TRACES, body) for engine, redactor in made.items()}
        assert len({(result.body, *sorted(result.counts.items())) for result in results.values()}) == 1


def test_an_example_is_found_beside_every_other_rule() -> None:
    """In the whole set another rule may name a match, but none is hidden by it."""
    confirmer = Confirmer(RULES)
    orders = range(len(RULES))
    for rule in RULES:
        for example in rule.examples:
            text = example.encode()
            (alone, *_) = Confirmer([rule]).find(text, [0], work())
            matches = confirmer.find(text, orders, work())
            assert any(match.start <= alone.start and alone.end <= match.end for match in matches), (
                rule.id,
                example,
            )
