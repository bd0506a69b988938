# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Pseudonyms are linkable under one key and inside one tenant; a change of key loses nothing."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runrecord.processors import PolicyError, Signal
from runrecord.processors.redaction import RedactionPolicy, Redactor
from runrecord.semconv.commitment import TenantKey

OLD, NEW = TenantKey(bytes(range(32))), TenantKey(bytes(range(1, 33)))
PSEUDONYM = re.compile(r"\[EMAIL:([0-9a-f]{8})\.([0-9a-f]{12})\]")
MAIL = "ada@example.org"


def redacted(
    otlp: SimpleNamespace, redactor: Redactor, text: str, tenant: str | None = None, key: str = "k"
) -> str:
    body = redactor.redact(Signal.TRACES, otlp.span_request((key, text)), tenant=tenant).body
    assert redactor.redact(Signal.TRACES, body, tenant=tenant).body == body
    return str(otlp.span_of(body).attributes[0].value.string_value)


def make(key: TenantKey, **more: Any) -> Redactor:
    return Redactor(RedactionPolicy.parse({"rules": {"email": "pseudonym"}, **more}), key.pseudonym_key())


def test_a_pseudonym_names_its_key_and_can_be_looked_up(otlp: SimpleNamespace, tmp_path: Path) -> None:
    before = redacted(otlp, make(OLD), MAIL)
    (tmp_path / "old.key").write_text(bytes(range(32)).hex())
    redactor = make(NEW, pseudonyms={"previous_keys": [str(tmp_path / "old.key")]})
    after = redacted(otlp, redactor, MAIL)
    assert PSEUDONYM.fullmatch(before)
    assert PSEUDONYM.fullmatch(after)
    assert before[:15] != after[:15]
    assert redactor.pseudonyms("email", MAIL) == [after, before]
    assert redacted(otlp, redactor, before) == before


def test_a_key_rule_and_a_hash_name_their_key_too(otlp: SimpleNamespace) -> None:
    redactor = make(NEW, keys=[{"match": "k", "action": "pseudonym"}, {"match": "h", "action": "hash"}])
    assert [redacted(otlp, redactor, "free text")] == redactor.pseudonyms("redacted", "free text")
    key_id = redactor.pseudonyms("email", MAIL)[0][7:15]
    assert re.fullmatch(f"hmac-sha256:{key_id}:[0-9a-f]{{64}}", redacted(otlp, redactor, "x", key="h"))


def test_tenants_cannot_be_linked(otlp: SimpleNamespace) -> None:
    redactor = make(NEW)
    found = [redacted(otlp, redactor, MAIL, tenant) for tenant in (None, "tenant-7", "tenant-8", "tenant-7")]
    assert len(set(found)) == 3
    assert found[1] == found[3]
    assert found[1:2] == redactor.pseudonyms("email", MAIL, "tenant-7")
    made = otlp.parsed(Signal.TRACES, otlp.span_request(("k", MAIL)))
    made.resource_spans[0].resource.attributes.add(key="runrecord.tenant.id").value.string_value = "tenant-8"
    body = redactor.redact(Signal.TRACES, made.SerializeToString()).body
    assert otlp.span_of(body).attributes[0].value.string_value == found[2]


def test_the_same_text_escaped_has_the_same_pseudonym(otlp: SimpleNamespace) -> None:
    redactor = make(NEW)
    plain = redacted(otlp, redactor, '{"to": "ada@example.org"}')
    assert redacted(otlp, redactor, r'{"to": "ada\u0040example.org"}') == plain
    nested = redacted(otlp, redactor, r'"{\"to\": \"ada\\u0040example.org\"}"')
    assert PSEUDONYM.findall(nested) == PSEUDONYM.findall(plain)


def test_nothing_shows_a_key(tmp_path: Path) -> None:
    (tmp_path / "old.key").write_text(bytes(range(32)).hex())
    redactor = make(NEW, pseudonyms={"previous_keys": [str(tmp_path / "old.key")]})
    shown = repr(redactor) + repr(redactor._plan) + repr(redactor._pseudonym_keys)
    assert repr(NEW.pseudonym_key())[2:-1] not in shown
    assert NEW.pseudonym_key().hex() not in shown


@pytest.mark.parametrize("content", [None, "short", "0" * 10])
def test_a_previous_key_that_is_none_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "old.key"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PolicyError, match=r"redaction.pseudonyms.previous_keys.0: ") as raised:
        make(NEW, pseudonyms={"previous_keys": [str(path)]})
    assert content is None or content not in str(raised.value)
