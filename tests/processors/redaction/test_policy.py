# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a policy says is what happens, and a mistake in it is told with the key and the nearest valid one."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

from runrecord.processors import EngineUnavailableError, PolicyError, Signal
from runrecord.processors.redaction import RedactionPolicy, Redactor

KEY = bytes(range(32))
CARD = "4111111111111111"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"pack": ["secrets"]}, "redaction: unknown key 'pack'; did you mean 'packs'?"),
        ({"packs": ["secret"]}, "redaction.packs: no pack 'secret'; there are secrets, secrets-context, pii, pii-us, "),
        ({"limits": {"attribute_byte": 1}}, "redaction.limits: unknown key 'attribute_byte'; did you mean 'attribute_bytes'?"),
        ({"limits": {"on_oversize": "offload"}}, "redaction: limits.on_oversize is offload; name a store"),
        ({"limits": {"on_oversize": "offload"}, "offload": {"store": "x"}}, "set limits.attribute_bytes, to 1024 or more"),
        ({"keys": [{"match": "a", "action": "drop", "agent": []}]}, "redaction.keys.0.agent"),
        ({"content": {"a": {"action": "drop", "enviroment": "x"}}}, "redaction.content.a.0: unknown key 'enviroment'; did you mean 'environment'?"),
        ({"limits": {"attribute_bytes": 10}}, "redaction.limits.attribute_bytes"),
        ({"keys": [{"match": "a", "action": "burn"}]}, "redaction.keys.0.action"),
        ({"keys": [{"match": "", "action": "drop"}]}, "redaction.keys.0.match"),
        ({"keys": [{"mach": "a", "action": "drop"}]}, "did you mean 'match'?"),
        ({"on_error": "forward"}, "redaction.on_error"),
        ({"zebra": 1}, "unknown key 'zebra'; known keys: packs"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(data: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=re.escape(message)):
        RedactionPolicy.parse(data)


@pytest.mark.parametrize(
    ("data", "key", "message"),
    [
        ({"rules": {"emial": "mask"}}, None, "no rule 'emial'; did you mean 'email'?"),
        ({"rules": {"email": "pseudonym"}}, None, "need a key"),
        ({"keys": [{"match": "a", "action": "hash"}]}, None, "need a key"),
        ({"rules": {"email": "pseudonym"}}, b"short", "the key has 5 bytes"),
        ({"content": {"gen_ai.*": "drop"}}, None, "must be an exact key"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(data: dict[str, Any], key: bytes | None, message: str) -> None:
    with pytest.raises(PolicyError, match=re.escape(message)):
        Redactor(RedactionPolicy.parse(data), key)


def test_an_engine_is_refused_by_name() -> None:
    with pytest.raises(
        EngineUnavailableError, match="no engine 'grep'; there are auto, hyperscan, re2, stdlib"
    ):
        Redactor(RedactionPolicy(), engine="grep")


def redacted(
    otlp: SimpleNamespace, data: dict[str, Any], *attributes: tuple[str, str], name: str = "chat"
) -> Any:
    redactor = Redactor(RedactionPolicy.parse(data), KEY)
    body = otlp.span_request(*attributes, name=name)
    redaction = redactor.redact(Signal.TRACES, body)
    again = redactor.redact(Signal.TRACES, redaction.body)
    assert again.body == redaction.body
    return otlp.parsed(Signal.TRACES, redaction.body).resource_spans[0].scope_spans[0].spans


def value(otlp: SimpleNamespace, data: dict[str, Any], text: str, key: str = "k") -> str:
    (span,) = redacted(otlp, data, (key, text))
    return str(span.attributes[0].value.string_value)


def test_the_actions_of_a_pattern(otlp: SimpleNamespace) -> None:
    mail = "to ada@example.org now"
    assert value(otlp, {}, mail) == "to [EMAIL] now"
    assert value(otlp, {"rules": {"email": "mask"}}, mail) == "to *************** now"
    pseudonym = value(otlp, {"rules": {"email": "pseudonym"}}, mail)
    assert re.fullmatch(r"to \[EMAIL:[0-9a-f]{8}\.[0-9a-f]{12}\] now", pseudonym)
    assert value(otlp, {"rules": {"email": "pseudonym"}}, "to ada@example.org now and") == pseudonym + " and"
    assert value(otlp, {"rules": {"email": "pseudonym"}}, "to eve@example.org now") != pseudonym
    assert re.fullmatch(
        r"to hmac-sha256:[0-9a-f]{8}:[0-9a-f]{64} now", value(otlp, {"rules": {"email": "hash"}}, mail)
    )
    assert value(otlp, {"rules": {"email": {"enabled": False}}}, mail) == mail
    assert not redacted(otlp, {"rules": {"email": "drop_span"}}, ("k", mail))
    (span,) = redacted(otlp, {"rules": {"email": "drop"}}, ("k", mail), ("other", "stays"), name=mail)
    assert span.name == "to [EMAIL] now"
    assert span.attributes[0].key == "other"


def test_a_rule_that_only_tags_changes_no_text(otlp: SimpleNamespace) -> None:
    (span,) = redacted(otlp, {"rules": {"email": "tag"}}, ("k", "ada@example.org"))
    said = {attribute.key: attribute.value for attribute in span.attributes}
    assert said["k"].string_value == "ada@example.org"
    assert said["runrecord.redaction.count"].int_value == 0
    assert [kind.string_value for kind in said["runrecord.redaction.kinds"].array_value.values] == ["email"]


def test_text_that_only_looks_like_a_marker_is_no_marker(otlp: SimpleNamespace) -> None:
    secret = "AKIA" + "QX7PLACEHOLDER77"
    assert value(otlp, {}, f"[{secret}]") == "[[AWS_ACCESS_KEY]]"
    assert value(otlp, {}, '"password": "[HUNTER2]"') == '"password": "[SECRET_ASSIGNMENT]"'
    keys = {"keys": [{"match": "k", "action": "token"}]}
    for text in ("[HUNTER2]", "1000", "0", "[SECRET_ASSIGNMENT"):
        assert value(otlp, keys, text) == "[REDACTED]"


def test_a_different_key_gives_different_pseudonyms(otlp: SimpleNamespace) -> None:
    policy = RedactionPolicy.parse({"rules": {"email": "pseudonym"}})
    body = otlp.span_request(("k", "ada@example.org"))
    one, two = (Redactor(policy, key).redact(Signal.TRACES, body).body for key in (KEY, KEY[::-1]))
    assert one != two
    assert KEY.hex() not in repr(Redactor(policy, KEY))
    assert repr(KEY) not in repr(Redactor(policy, KEY)._plan)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps({"card": int(CARD)}), '{"card": 0}'),
        (json.dumps([1, int(CARD), 2]), "[1, 0, 2]"),
        (json.dumps({"a": json.dumps({"b": [-int(CARD)]})}), '{"a": "{\\"b\\": [-0]}"}'),
        (json.dumps({"card": CARD}), '{"card": "[CARD]"}'),
        (CARD, "[CARD]"),
        (f"paid with {CARD}, thanks", "paid with [CARD], thanks"),
        (f"card: {CARD}, thanks", "card: [CARD], thanks"),
        (json.dumps({"f": 63.402203105447974}), '{"f": 63.402203105447974}'),
    ],
)
def test_a_bare_number_stays_a_number(otlp: SimpleNamespace, text: str, expected: str) -> None:
    assert value(otlp, {}, text) == expected


def test_a_masked_bare_number_keeps_its_length(otlp: SimpleNamespace) -> None:
    assert value(otlp, {"rules": {"card": "mask"}}, f'{{"card":{CARD}}}') == '{"card":1000000000000000}'


def test_allowed_values_exempt_the_match_only(otlp: SimpleNamespace) -> None:
    data = {"allow": {"values": ["support@example.com"]}}
    text = r"from support@example.com to ada@example.com, support\u0040example.com, xsupport@example.com"
    assert (
        value(otlp, data, text) == r"from support@example.com to [EMAIL], support\u0040example.com, [EMAIL]"
    )


def test_rules_by_key(otlp: SimpleNamespace) -> None:
    data = {
        "keys": [
            {"match": "gen_ai.tool.call.arguments", "tool": "create_refund", "action": "hash"},
            {"match": "HTTP.request.header.authorization", "action": "drop"},
            {"match": "*.note", "action": "token"},
            {"match": "wipe", "action": "drop_span"},
        ],
        "content": {"gen_ai.input.messages": "drop", "gen_ai.output.messages": "keep"},
    }
    attributes = (
        ("gen_ai.tool.call.arguments", "{}"),
        ("http.request.header.authorization", "x"),
        ("a.note", "free text"),
        ("gen_ai.input.messages", "[]"),
        ("gen_ai.output.messages", "for ada@example.org"),
    )
    (span,) = redacted(otlp, data, *attributes, ("gen_ai.tool.name", "create_refund"))
    said = {attribute.key: attribute.value.string_value for attribute in span.attributes}
    assert re.fullmatch("hmac-sha256:[0-9a-f]{8}:[0-9a-f]{64}", said.pop("gen_ai.tool.call.arguments"))
    assert said.pop("runrecord.redaction.rules").startswith("builtin-2+sha256:")
    assert said == {
        "a.note": "[REDACTED]",
        "gen_ai.output.messages": "for [EMAIL]",
        "gen_ai.tool.name": "create_refund",
        "runrecord.redaction.count": "",
        "runrecord.redaction.kinds": "",
    }
    (span,) = redacted(otlp, data, *attributes, ("gen_ai.tool.name", "other"))
    assert span.attributes[0].value.string_value == "{}"
    assert not redacted(otlp, data, ("wipe", "1"))


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("mask", '{"user": {"password": "ab\\"c", "x":  1}}', '{"user": {"password": "****", "x":  1}}'),
        ("token", '{"password": {"a": [1, "}"]}, "b": 2}', '{"password": "[REDACTED]", "b": 2}'),
        ("token", '{"a": "{\\"password\\": 7 }"}', '{"a": "{\\"password\\": \\"[REDACTED]\\" }"}'),
        ("token", '[{"password" : null}, {"PASSWORD": "x"}]', '[{"password" : null}, {"PASSWORD": "[REDACTED]"}]'),
        ("drop", '{"password": "x", "a": {"password": [1]}}', '{"password": null, "a": {"password": null}}'),
        ("drop", '{"a": "{\\"password\\": \\"x\\"}"}', '{"a": "{\\"password\\": null}"}'),
        ("mask", '{"pass\\u0077ord": "x\\u00e9"}', '{"pass\\u0077ord": "***"}'),
        ("token", 'the answer: {"password": "x"} and {"password": "cut o', 'the answer: {"password": "[REDACTED]"} and {"password": "[REDACTED]'),
        ("keep", '{"password": "x"}', '{"password": "x"}'),
        ("mask", '{"passwords": "x", "my password": 1}', '{"passwords": "x", "my password": 1}'),
    ],
)  # fmt: skip
def test_keys_inside_json(otlp: SimpleNamespace, action: str, before: str, after: str) -> None:
    data = {"packs": [], "keys": [{"match": "*.password", "action": action, "inside_json": True}]}
    for engine in ("hyperscan", "re2", "stdlib"):
        assert value(otlp, data | {"engine": engine}, before) == after


@pytest.mark.parametrize("engine", ["hyperscan", "re2", "stdlib"])
@pytest.mark.parametrize(
    ("match", "key"),
    [
        ("my key", "my key"),
        ("a-b#c/d", "A-B#C/D"),
        ("clé.*", "clé.x"),
        ("[a]{2}(b)?c", "[a]{2}(b)xc"),
        ("日本", "日本"),
    ],
)
def test_any_key_can_be_named(otlp: SimpleNamespace, engine: str, match: str, key: str) -> None:
    data = {"keys": [{"match": match, "action": "token"}], "engine": engine}
    assert value(otlp, data, "x", key=key) == "[REDACTED]"
    assert value(otlp, data, "x", key="other") == "x"


def test_a_pseudonym_is_the_same_at_every_depth(otlp: SimpleNamespace) -> None:
    data = {"packs": [], "keys": [{"match": "*.name", "action": "pseudonym", "inside_json": True}]}
    flat = json.loads(value(otlp, data, json.dumps({"name": 'Zoë "Z"'})))
    deep = json.loads(
        value(otlp, data, json.dumps({"a": json.dumps({"name": 'Zoë "Z"'}, ensure_ascii=False)}))
    )
    assert json.loads(deep["a"]) == flat


def test_keys_inside_nested_maps(otlp: SimpleNamespace) -> None:
    request = otlp.REQUESTS[Signal.LOGS]()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    for values in (record.attributes.add(key="user").value.kvlist_value, record.body.kvlist_value):
        values.values.add(key="password").value.int_value = 7
        values.values.add(key="list").value.array_value.values.add().string_value = '{"password": "x"}'
    data = {
        "packs": [],
        "annotate": False,
        "keys": [{"match": "*.password", "action": "token", "inside_json": True}],
    }
    redaction = Redactor(RedactionPolicy.parse(data)).redact(Signal.LOGS, request.SerializeToString())
    (record,) = otlp.parsed(Signal.LOGS, redaction.body).resource_logs[0].scope_logs[0].log_records
    for values in (record.attributes[0].value.kvlist_value, record.body.kvlist_value):
        assert values.values[0].value.string_value == "[REDACTED]"
        assert values.values[1].value.array_value.values[0].string_value == '{"password": "[REDACTED]"}'


def test_what_was_done_is_said_once_by_app_and_gateway(otlp: SimpleNamespace) -> None:
    app = Redactor(RedactionPolicy(packs=("secrets",)))
    gateway = Redactor(RedactionPolicy())
    body = otlp.span_request(("k", "ada@example.org, password=hunter2hunter"))
    once = app.redact(Signal.TRACES, body)
    twice = gateway.redact(Signal.TRACES, once.body)
    attributes = otlp.span_of(twice.body).attributes
    said = {attribute.key: attribute.value for attribute in attributes}
    assert len(said) == len(attributes)
    assert said["runrecord.redaction.count"].int_value == 2
    assert said["runrecord.redaction.rules"].string_value == gateway.rules_version
    kinds = [kind.string_value for kind in said["runrecord.redaction.kinds"].array_value.values]
    assert kinds == ["email", "secret_assignment"]
    assert twice.counts == {"email": 1}


def test_an_annotation_that_holds_a_secret_is_not_believed(otlp: SimpleNamespace) -> None:
    body = otlp.span_request(
        ("runrecord.redaction.count", "ada@example.org"), ("runrecord.redaction.kinds", "eve@example.org")
    )
    redaction = Redactor(RedactionPolicy()).redact(Signal.TRACES, body)
    assert b"example.org" not in redaction.body
    said = {attribute.key: attribute.value for attribute in otlp.span_of(redaction.body).attributes}
    assert said["runrecord.redaction.count"].int_value == 2
    assert len(said) == 3


def test_no_annotation_if_the_policy_says_so(otlp: SimpleNamespace) -> None:
    (span,) = redacted(otlp, {"annotate": False}, ("k", "ada@example.org"))
    assert len(span.attributes) == 1


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([{"role": "user", "content": "word " * 400}] * 5),
        json.dumps({f"key{i}": i for i in range(500)}),
        json.dumps({"deep": json.dumps({"text": "é" * 3000})}),
        json.dumps("é" * 3000),
        json.dumps([[["x" * 50] * 50] * 5]),
        "[" + "1" * 3000 + "]",
    ],
)
def test_json_that_is_cut_stays_json(otlp: SimpleNamespace, text: str) -> None:
    data = {"limits": {"attribute_bytes": 1024}, "packs": ["secrets"]}
    cut = value(otlp, data, text)
    assert len(cut.encode()) <= 1024
    assert "TRUNCATED" in cut
    assert type(json.loads(cut)) in {type(json.loads(text)), str}


def test_text_that_is_cut_keeps_its_beginning(otlp: SimpleNamespace) -> None:
    data = {"limits": {"attribute_bytes": 256}}
    cut = value(otlp, data, "ada@example.org " + "日本語" * 200)
    assert cut.startswith("[EMAIL] 日本語")
    assert cut.endswith(" bytes]")
    assert len(cut.encode()) <= 256
    (span,) = redacted(
        otlp, {"limits": {"attribute_bytes": 256, "on_oversize": "drop"}}, ("k", "x" * 300), ("z", "y")
    )
    assert span.attributes[0].key == "z"
