# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Every engine gives what the slow reference gives, and a second pass changes nothing."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runrecord.processors import Signal
from runrecord.processors.redaction import PACKS, RedactionPolicy, Redactor
from runrecord.processors.redaction.walker import Mode

ENGINES = ("hyperscan", "re2", "stdlib")
KEY = bytes(range(32))
ALL = [rule.id for name in RedactionPolicy().packs for rule in PACKS[name]]
POLICIES = {
    **{action: RedactionPolicy.parse({"rules": dict.fromkeys(ALL, action)}) for action in ("mask", "pseudonym", "hash")},
    "default": RedactionPolicy(),
    "everything": RedactionPolicy.parse(
        {
            "rules": {"email": "pseudonym", "card": "mask", "phone": "drop", "us-ssn": "tag", "iban": "hash",
                      "jwt": "drop_span", "ipv6": {"enabled": False}},
            "keys": [
                {"match": "http.request.header.authorization", "action": "drop"},
                {"match": "*.password", "action": "mask", "inside_json": True},
                {"match": "*.session", "action": "hash", "inside_json": True},
                {"match": "token", "action": "pseudonym"},
                {"match": "content", "action": "drop_span", "tool": "wipe"},
            ],
            "content": {"gen_ai.input.messages": "keep"},
            "allow": {"values": ["ada@example.com"]},
        }
    ),
}  # fmt: skip
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", params=sorted(POLICIES))
def redactors(request: pytest.FixtureRequest, otlp: SimpleNamespace) -> tuple[Any, dict[str, Redactor]]:
    policy = POLICIES[request.param]
    return otlp.Reference(policy, KEY), {engine: Redactor(policy, KEY, engine=engine) for engine in ENGINES}


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
@QUICK
def test_the_engines_equal_the_reference(
    otlp: SimpleNamespace, redactors: tuple[Any, dict[str, Redactor]], signal: Signal, data: st.DataObject
) -> None:
    reference, engines = redactors
    body = data.draw(otlp.requests(signal))
    expected, counts = reference.redact(signal, body)
    for name, redactor in engines.items():
        redaction = redactor.redact(signal, body)
        assert otlp.parsed(signal, redaction.body) == expected, name
        assert redaction.counts == counts, name
        if not counts:
            assert redaction.body is body
        again = redactor.redact(signal, redaction.body)
        assert again.body == redaction.body, name


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
@QUICK
def test_the_strict_seeds_and_the_slow_path_equal_the_reference(
    otlp: SimpleNamespace, redactors: tuple[Any, dict[str, Redactor]], signal: Signal, data: st.DataObject
) -> None:
    reference, engines = redactors
    body = data.draw(otlp.requests(signal))
    expected, counts = reference.redact(signal, body)
    for name, redactor in engines.items():
        assert redactor._strict is not None
        for mode, hits in ((Mode.STRUCTURE, redactor._strict.scan(body, 1 << 40)), (Mode.EVERYTHING, [])):
            assert hits is not None
            redaction = redactor._walk(signal, body, hits, mode)
            assert otlp.parsed(signal, redaction.body) == expected, (name, mode)
            assert redaction.counts == counts, (name, mode)


@given(data=st.data())
@QUICK
def test_json_stays_json(otlp: SimpleNamespace, data: st.DataObject) -> None:
    policy = POLICIES[data.draw(st.sampled_from(["default", "mask", "pseudonym", "hash"]))]
    text = data.draw(otlp.texts())
    body = otlp.span_request(("k", text))
    redacted = _redactor(policy).redact(Signal.TRACES, body)
    value = otlp.span_of(redacted.body).attributes[0].value.string_value
    try:
        before = json.loads(text)
    except ValueError:
        return
    after = json.loads(value)
    if isinstance(before, dict):
        assert type(after) is type(before)


_CACHE: dict[int, Redactor] = {}


def _redactor(policy: RedactionPolicy) -> Redactor:
    return _CACHE.setdefault(id(policy), Redactor(policy, KEY))
