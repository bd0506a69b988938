# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Large texts go to a store, redacted, before the request goes on; a beginning and a reference stay."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from s3_server import BUILD_SECONDS, S3Server, s3_program

from runrecord.processors import PolicyError, RedactionError, Signal
from runrecord.processors.redaction import RedactionPolicy, Redactor
from runrecord.processors.redaction.content_store import LocalContentStore, open_store

KEY = "AKIA" + "QX7PLACEHOLDER77"
CONTENT = json.dumps([{"role": "user", "content": f"{'long ' * 600} mail ada@example.org, {KEY}"}])


def policy(store: Path | str, **more: Any) -> RedactionPolicy:
    return RedactionPolicy.parse(
        {
            "limits": {"attribute_bytes": 1024, "on_oversize": "offload"},
            "offload": {"store": str(store), "preview_bytes": 512, **more.pop("offload", {})},
            **more,
        }
    )


def attributes(otlp: SimpleNamespace, body: bytes) -> dict[str, Any]:
    found = otlp.span_of(body).attributes
    return {each.key: each.value.string_value or each.value.int_value for each in found}


def read(uri: str) -> bytes:
    return Path(url2pathname(urlparse(uri).path)).read_bytes()


def test_a_reference_a_digest_and_a_beginning_stay(otlp: SimpleNamespace, tmp_path: Path) -> None:
    redactor = Redactor(policy(tmp_path / "store"))
    body = otlp.span_request(("gen_ai.input.messages", CONTENT), ("k", "small"))
    redaction = redactor.redact(Signal.TRACES, body)
    found = attributes(otlp, redaction.body)
    stored = read(found["gen_ai.input.messages.ref"])
    (message,) = json.loads(stored)
    assert message["content"].endswith(" mail [EMAIL], [AWS_ACCESS_KEY]")
    assert found["gen_ai.input.messages.ref.digest"] == f"sha256:{hashlib.sha256(stored).hexdigest()}"
    assert found["gen_ai.input.messages.ref.size"] == len(stored)
    assert len(found["gen_ai.input.messages"]) <= 512
    assert json.loads(found["gen_ai.input.messages"])[0]["role"] == "user"
    assert [each.key for each in otlp.span_of(redaction.body).attributes][:5] == [
        "gen_ai.input.messages",
        "gen_ai.input.messages.ref",
        "gen_ai.input.messages.ref.digest",
        "gen_ai.input.messages.ref.size",
        "k",
    ]
    assert redaction.counts == {"email": 1, "aws-access-key": 1, "offloaded": 1}
    assert "offloaded" in str(otlp.span_of(redaction.body).attributes)
    assert redactor.redact(Signal.TRACES, redaction.body).body == redaction.body
    assert redactor.may_wait
    assert not Redactor(RedactionPolicy()).may_wait


def test_the_same_text_is_stored_once_and_by_its_owner_only(otlp: SimpleNamespace, tmp_path: Path) -> None:
    redactor = Redactor(policy(tmp_path / "store"))
    redactor.redact(Signal.TRACES, otlp.span_request(("a", CONTENT), ("b", CONTENT)))
    (path,) = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    os.utime(path, (0, 0))
    redactor.redact(Signal.TRACES, otlp.span_request(("c", CONTENT)))
    assert path.stat().st_mtime > 0, "what is referred to again is not old"


def test_texts_inside_values_and_bodies_are_offloaded_too(otlp: SimpleNamespace, tmp_path: Path) -> None:
    made = otlp.REQUESTS[Signal.LOGS]()
    record = made.resource_logs.add().scope_logs.add().log_records.add()
    record.body.string_value = "b" * 2000
    values = record.attributes.add(key="user").value.kvlist_value.values
    values.add(key="notes").value.string_value = "n" * 2000
    values.add(key="list").value.array_value.values.add().bytes_value = b"\xff" * 2000
    values.add(key=f"k {KEY}").value.string_value = "s" * 2000
    other = made.resource_logs[0].scope_logs[0].log_records.add()
    other.body.kvlist_value.values.add(key="inner").value.string_value = "i" * 2000
    made.resource_logs[0].resource.attributes.add(key="r").value.string_value = "r" * 2000
    made.resource_logs[0].schema_url = "u" * 2000
    redaction = Redactor(policy(tmp_path)).redact(Signal.LOGS, made.SerializeToString())
    resource = otlp.parsed(Signal.LOGS, redaction.body).resource_logs[0]
    first, second = resource.scope_logs[0].log_records

    def referred(pairs: Any) -> dict[str, bytes]:
        return {each.key: read(each.value.string_value)[:1] for each in pairs if each.key.endswith(".ref")}

    assert referred(first.attributes) == {
        "user.notes.ref": b"n",
        "user.list.ref": b"\xff",
        "user.k [AWS_ACCESS_KEY].ref": b"s",
        "body.ref": b"b",
    }
    assert referred(second.body.kvlist_value.values) == {"body.inner.ref": b"i"}
    assert referred(resource.resource.attributes) == {"r.ref": b"r"}
    assert resource.schema_url.startswith("uuu")
    assert len(resource.schema_url) <= 1024
    assert redaction.counts == {"offloaded": 6, "oversize": 1, "aws-access-key": 1}
    assert KEY.encode() not in redaction.body


def test_what_is_dropped_is_not_stored(otlp: SimpleNamespace, tmp_path: Path) -> None:
    dropping = policy(tmp_path, rules={"iban": "drop", "card": "drop_span"})
    redactor = Redactor(dropping)
    values = otlp.REQUESTS[Signal.TRACES]()
    spans = values.resource_spans.add().scope_spans.add().spans
    for text in ("DE89370400440532013000", "4111 1111 1111 1111"):
        span = spans.add(name="s")
        nested = span.attributes.add(key="k").value.kvlist_value.values
        nested.add(key="large").value.string_value = "x" * 2000
        nested.add(key="number").value.string_value = text
    redaction = redactor.redact(Signal.TRACES, values.SerializeToString())
    assert redaction.counts == {"offloaded": 2, "iban": 1, "card": 1}
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert "ref" not in str(otlp.parsed(Signal.TRACES, redaction.body))


@pytest.mark.parametrize("on_error", ["reject", "quarantine", "mask_all"])
def test_a_store_that_fails_lets_nothing_pass(otlp: SimpleNamespace, tmp_path: Path, on_error: str) -> None:
    (tmp_path / "store").write_text("no directory")
    redactor = Redactor(policy(tmp_path / "store", on_error=on_error))
    body = otlp.span_request(("k", CONTENT))
    if on_error == "mask_all":
        assert attributes(otlp, redactor.redact(Signal.TRACES, body).body)["k"] == "[REDACTED]"
        return
    with pytest.raises(RedactionError, match="the content store cannot be written") as raised:
        redactor.redact(Signal.TRACES, body)
    assert raised.value.temporary
    assert raised.value.disposition == on_error
    assert str(tmp_path) not in str(raised.value)
    small = otlp.span_request(("k", "small"))
    assert redactor.redact(Signal.TRACES, small).body is small


def test_a_file_that_was_not_finished_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    store = LocalContentStore(tmp_path)
    digest = hashlib.sha256(b"x").hexdigest()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(Exception, match="No space left on device"):
            store.put({digest: b"x"})
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    store.put({digest: b"x"})
    assert read(store.uri(digest)) == b"x"


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("ftp://host/x", "must be a directory or an address that begins with s3://"),
        ("s3://", "cannot be used like this"),
        ("x" * 900, "too long"),
    ],
)
def test_a_store_that_cannot_be_used_is_refused(where: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        Redactor(policy(where))
    with pytest.raises(PolicyError, match="documentation of obstore"):
        Redactor(policy("s3://bucket", offload={"options": {"colour": "red"}}))


MEMORY = policy(
    "memory:///",
    limits={"attribute_bytes": 1024, "on_oversize": "offload"},
    offload={"preview_bytes": 256},
    rules={"email": "drop", "card": "drop_span", "phone": "mask"},
    keys=[{"match": "*.password", "action": "mask", "inside_json": True}],
)


@pytest.fixture(scope="module")
def both(otlp: SimpleNamespace) -> tuple[Any, Redactor]:
    return otlp.Reference(MEMORY), Redactor(MEMORY)


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_engine_equals_the_reference(
    otlp: SimpleNamespace, both: tuple[Any, Redactor], signal: Signal, data: st.DataObject
) -> None:
    """Texts of up to some hundred bytes are made large by repeating them."""
    made = otlp.parsed(signal, data.draw(otlp.requests(signal)))
    _enlarge(made, data)
    body = made.SerializeToString()
    reference, redactor = both
    expected, counts = reference.redact(signal, body)
    redaction = redactor.redact(signal, body)
    assert otlp.parsed(signal, redaction.body) == expected
    assert redaction.counts == counts
    store = redactor._store
    assert store is not None
    for digest, content in reference.offloaded.items():
        assert bytes(store._store.get(f"sha256/{digest[:2]}/{digest}").bytes()) == content  # type: ignore[attr-defined]


def _enlarge(message: Any, data: st.DataObject) -> None:
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for each in value if field.is_repeated else [value]:
                _enlarge(each, data)
        elif field.name in {"string_value", "bytes_value"} and value and data.draw(st.booleans()):
            setattr(message, field.name, value * (1 + 1500 // len(value)))


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server.run(s3_program(), tmp_path_factory.mktemp("s3")) as server:
        server.make_bucket("content")
        yield server


@pytest.mark.go
@pytest.mark.timeout(BUILD_SECONDS)
def test_a_real_object_store(otlp: SimpleNamespace, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    redactor = Redactor(policy("s3://content/agents", offload={"options": s3.options()}))
    texts = [f"{number} {CONTENT}" for number in range(5)]
    body = otlp.span_request(
        *((f"k.{'abcde'[number]}", text) for number, text in enumerate(texts)), ("x", texts[0])
    )
    found = attributes(otlp, redactor.redact(Signal.TRACES, body).body)
    objects = s3.objects("content")
    assert len(objects) == 5
    for number in range(5):
        uri = found[f"k.{'abcde'[number]}.ref"]
        content = objects[uri.removeprefix("s3://content/")]
        assert content.startswith(f"{number} ".encode())
        assert KEY.encode() not in content
    assert found["x.ref"] == found["k.a.ref"]


@pytest.mark.go
@pytest.mark.timeout(BUILD_SECONDS)
def test_an_object_store_that_is_down_refuses_at_once_for_a_while(
    otlp: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with S3Server.run(s3_program(), tmp_path) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        redactor = Redactor(policy("s3://no-such-bucket", offload={"options": server.options()}))
        body = otlp.span_request(("k", CONTENT))
        with pytest.raises(RedactionError, match=r"refused a text or did not answer \(\w+\)") as raised:
            redactor.redact(Signal.TRACES, body)
        assert raised.value.temporary
        assert server.endpoint not in str(raised.value)
        server.make_bucket("no-such-bucket")
        with pytest.raises(RedactionError, match="did not answer a moment ago"):
            redactor.redact(Signal.TRACES, body)
        assert redactor._store is not None
        monkeypatch.setattr(redactor._store, "_rest_until", 0.0)
        redactor.redact(Signal.TRACES, body)
        assert len(server.objects("no-such-bucket")) == 1


def test_the_address_of_a_store_says_nothing_in_its_representation() -> None:
    assert "secret" not in repr(open_store("secret", {})) + repr(open_store("memory:///secret", {}))
