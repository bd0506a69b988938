# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The policy of an app, read from the gateway's file."""

from __future__ import annotations

import pytest

from runrecord.exporters import SafeSpanExporter, SettingsError, settings
from runrecord.processors import Signal, compat

MAIL = b"ada.lovelace@example.org"


@pytest.fixture
def configured(monkeypatch, tmp_path):
    monkeypatch.setenv("RUNRECORD_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("RUNRECORD_KEY", raising=False)
    monkeypatch.setattr(settings, "_loaded", {})

    def write(content: str | None) -> None:
        path = tmp_path / "runrecord.yaml"
        if content is not None:
            path.write_text(content)
        monkeypatch.setenv(settings.RUNRECORD_CONFIG, str(path))

    return write


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, ": can't be read (No such file or directory)"),
        ("", ":1:1: must be a mapping with a section processors"),
        ("- a", ":1:1: must be a mapping with a section processors"),
        ("a: [}", ":1:5: not valid YAML: expected the node content, but found '}'"),
        ("processors: [redaction]", ":1:1: processors: must be a mapping, not a list"),
        ("processors: {redaction: hello}", ":1:14: processors.redaction: must be a mapping, not text"),
        ("processors: {redaction: '${env:SECRET}'}", ":1:14: processors.redaction: must be a mapping, not text"),
        ("processors: {compat: [openinference]}", ":1:14: processors.compat: must be a mapping, not a list"),
        ("processors: {redaction: {packs: [piii]}}", ":1:26: processors.redaction.packs: no pack 'piii'; there are secrets, secrets-context, pii"),
        ("processors: {redaction: {packs: ['${env:UNSET}']}}", ":1:34: processors.redaction.packs.0: the environment variable UNSET is not set"),
        ("processors: {redaction: {rules: {nosuch: mask}}}", ":1:34: processors.redaction.rules.nosuch: no rule 'nosuch'; "),
        ("\nprocessors:\n  batch: {}\n", ":3:3: processors.batch: unknown key; valid here: compat, redaction"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_says_what_is_wrong(configured, monkeypatch, content, said):
    monkeypatch.setenv("SECRET", "a: hunter2: [")
    configured(content)
    with pytest.raises(SettingsError) as caught:
        settings.load_protection()
    assert f"runrecord.yaml{said}" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.next_step


def test_everything_that_is_wrong_is_told_at_once(configured):
    configured("processors: {redaction: {pack: [pii], limit: {}}, compat: {openinference: perhaps}}")
    with pytest.raises(SettingsError) as caught:
        settings.load_protection()
    assert [(problem.line, problem.column, problem.nearest) for problem in caught.value.problems] == [
        (1, 26, "packs"),
        (1, 39, "limits"),
        (1, 60, ""),
    ]


def test_without_a_file_the_default_policy_applies(configured, monkeypatch):
    monkeypatch.delenv(settings.RUNRECORD_CONFIG, raising=False)
    protection = settings.load_protection()
    assert protection.source == "default"
    assert protection.processors == (compat.openinference,)
    assert settings.load_protection() is protection, "made once"


def test_the_gateways_other_sections_do_not_matter(configured):
    configured(
        "receivers: {otlp: ~}\nexporters: {otlp_http: {headers: {a: '${env:UNSET_IN_THE_APP}'}}}\nservices: {}"
    )
    assert settings.load_protection().processors == (compat.openinference,)


def test_the_processors_of_the_file_apply(configured, monkeypatch):
    monkeypatch.setenv("PACK", "secrets")
    configured(
        "processors: {redaction: {packs: ['${env:PACK}']}, compat: {openinference: '${env:OI:-false}'}}"
    )
    protection = settings.load_protection()
    assert protection.processors == ()


def test_pseudonyms_are_keyed_and_stable(configured, tmp_path):
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.trace import SpanContext

    configured("processors: {redaction: {packs: [pii], rules: {email: pseudonym}}}")
    memory = InMemorySpanExporter()
    span = ReadableSpan(MAIL.decode(), SpanContext(1, 2, False), resource=Resource({}))
    SafeSpanExporter(memory).export([span, span])
    first, second = (exported.name for exported in memory.get_finished_spans())
    assert first == second
    assert MAIL.decode() not in first
    assert (tmp_path / "state" / "tenant.key").exists()


def test_protection_does_not_show_its_redactor(configured, monkeypatch):
    monkeypatch.delenv(settings.RUNRECORD_CONFIG, raising=False)
    protection = settings.load_protection()
    assert "redactor" not in repr(protection)
    assert protection.redactor.redact(Signal.TRACES, b"").body == b""
