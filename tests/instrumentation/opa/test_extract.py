# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which URLs are questions, and what answers mean, without a server."""

import logging
from typing import Any

import pytest

from runrecord.instrumentation.opa import extract
from runrecord.instrumentation.opa.addresses import Target, configured, target

pytestmark = pytest.mark.sdk


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://opa:8181/v1/data/refunds/allow", ("refunds", "allow")),
        ("http://OPA:8181/v1/data/refunds/allow?pretty=true", ("refunds", "allow")),
        ("https://gate.example/opa/v1/data/a%2Fb/c/", ("a/b", "c")),
        ("https://gate.example:443/opa/v1/data/a", ("a",)),
        ("https://gate.example/v1/data/a", None),
        ("http://opa:8181/v1/data", None),
        ("http://opa:8181/v1/data/", None),
        ("http://opa:8181/v1/database/a", None),
        ("http://opa:8182/v1/data/a", None),
        ("https://opa:8181/v1/data/a", None),
        ("http://opa.evil.example:8181/v1/data/a", None),
        ("http://opa:99999/v1/data/a", None),
        ("/v1/data/a", None),
    ],
)
def test_which_urls_ask(url: str, path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNRECORD_OPA_URLS", "http://opa:8181,https://gate.example/opa/")
    found = target(url, configured())
    assert (found.path if found is not None else None) == path


def test_the_input_in_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNRECORD_OPA_URLS", "http://opa:8181")
    assert target('http://opa:8181/v1/data/a?input=%7B"b":1%7D', configured()) == Target(("a",), '{"b":1}')


def test_an_address_that_is_none_is_left_out_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RUNRECORD_OPA_URLS", "http://opa:8181, ftp://user:pass@elsewhere,")
    with caplog.at_level(logging.WARNING):
        assert [address.host for address in configured()] == ["opa"]
    assert "entry 2 of RUNRECORD_OPA_URLS" in caplog.text
    assert "elsewhere" not in caplog.text


@pytest.mark.parametrize(
    ("path", "result", "asks", "meaning"),
    [
        ("a/allow", True, True, ("a", "allow", "allow")),
        ("a/may_pay", True, True, ("a", "may_pay", "allow")),
        ("a/may_pay", True, False, None),
        ("a/allow", False, False, ("a", "allow", "deny")),
        ("a/denied", True, True, ("a", "denied", "deny")),
        ("a/violation", [], True, ("a", "violation", "allow")),
        ("a/violation", ["too much"], True, ("a", "violation", "deny")),
        ("a", {"allow": True}, True, ("a", "allow", "allow")),
        ("a/b", {"allowed": False, "deny": []}, True, ("a/b", "allowed", "deny")),
        ("a", {"deny": ["too much"]}, True, ("a", "deny", "deny")),
        ("allow", True, True, ("allow", None, "allow")),
        ("a/allow/u-17", True, True, ("a", "allow", "allow")),
        ("a/u-17/allow", True, True, ("a", None, "allow")),
        ("u-17/allow", True, True, None),
        ("a/limit", 50, True, None),
        ("a/names", ["b"], True, None),
        ("a", {"allow": "yes"}, True, None),
        ("a/allow", None, True, None),
    ],
)
def test_what_answers_mean(path: str, result: Any, *, asks: bool, meaning: Any) -> None:
    found = extract.decided(tuple(path.split("/")), {"result": result}, asks=asks)
    if found is not None:
        assert (found.policy.policy_id, found.answer.rule, found.answer.outcome) == meaning
    else:
        assert meaning is None


@pytest.mark.parametrize(
    ("provenance", "version"),
    [
        ({"bundles": {"a": {"revision": "14"}}}, "14"),
        ({"bundles": {"b": {"revision": "2"}, "a": {"revision": "1"}}}, "a=1,b=2"),
        ({"bundles": {"a": {}}}, None),
        ({"revision": "7"}, "7"),
        ({"version": "1.0"}, None),
        ("?", None),
    ],
)
def test_the_revision(provenance: Any, version: str | None) -> None:
    found = extract.decided(("a", "allow"), {"result": True, "provenance": provenance}, asks=True)
    assert found is not None
    assert found.policy.version == version


def test_a_reason_must_be_a_code() -> None:
    for reason, kept in (("over_limit", "over_limit"), ("Ada is over it", None), (7, None)):
        found = extract.decided(("a",), {"result": {"allow": False, "reason_code": reason}}, asks=True)
        assert found is not None
        assert found.answer.reason == kept


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"code": "internal_error"}', "opa.internal_error"),
        (b'{"code": "a sentence"}', "500"),
        (b"<html>", "500"),
    ],
)
def test_an_error_has_a_code(body: bytes, error: str) -> None:
    found = extract.failed(("a", "allow"), 500, body)
    assert found is not None
    assert found.answer.error == error
