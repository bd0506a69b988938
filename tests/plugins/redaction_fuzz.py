# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the redactor promises for any bytes; held by hypothesis, by the kept seeds, and by a coverage-guided fuzzer."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from google.protobuf.message import DecodeError
from redaction_reference import REQUESTS, Reference

from runrecord.processors import RedactionError, Signal
from runrecord.processors.redaction import PACKS, RedactionPolicy, Redactor

_RULES = (
    "aws-access-key",
    "private-key",
    "jwt",
    "secret-assignment",
    "email",
    "card",
    "phone",
    "us-ssn",
    "ipv6",
)

SIGNALS = list(Signal)
_EVERYTHING = {rule.id for pack in ("secrets", "pii") for rule in PACKS[pack]}
_BASE: dict[str, Any] = {
    "rules": {name: {"enabled": False} for name in _EVERYTHING.difference(_RULES)},
    "annotate": False,
}
POLICIES: list[dict[str, Any]] = [
    _BASE,
    {**_BASE, "limits": {"attribute_bytes": 256}},
    {
        **_BASE,
        "rules": {**_BASE["rules"], "email": "drop", "card": "drop_span", "phone": "mask", "us-ssn": "pseudonym"},
        "keys": [
            {"match": "*.password", "action": "mask", "inside_json": True},
            {"match": "session", "action": "hash"},
            {"match": "token", "action": "drop"},
        ],
    },
    {
        **_BASE,
        "limits": {"attribute_bytes": 1024, "on_oversize": "offload", "leaf_confirms": 40, "request_confirms": 100},
        "offload": {"store": "memory:///", "preview_bytes": 256},
    },
]  # fmt: skip
ENGINES = ("hyperscan", "stdlib")


@lru_cache
def _made(number: int, engine: str) -> tuple[Redactor, Reference]:
    data = dict(POLICIES[number])
    if "offload" in data and engine == "stdlib":  # the fuzzer's environment has no object store
        data.pop("offload")
        data["limits"] = {**data["limits"], "on_oversize": "drop"}
    policy = RedactionPolicy.parse(data)
    return Redactor(policy, bytes(32), engine=engine), Reference(policy, bytes(32))


def check(data: bytes, engine: str = "stdlib") -> None:
    """Hold the redactor to its promises on a request.

    Args:
        data: The first byte chooses signal and policy, the rest is the request.
        engine: The pattern engine.

    Raises:
        AssertionError: It broke one; any other exception than RedactionError is a crash.
    """
    if not data:
        return
    signal = SIGNALS[data[0] % len(SIGNALS)]
    redactor, reference = _made(data[0] // len(SIGNALS) % len(POLICIES), engine)
    body = data[1:]
    original = _parsed(signal, body)
    try:
        redaction = redactor.redact(signal, body)
    except RedactionError:
        return
    result = _parsed(signal, redaction.body)
    if original is None:
        if result is None:
            return  # nobody can read it, before or after
    else:
        assert result is not None, "a request that could be read can no longer be read"
        try:
            expected, _ = reference.redact(signal, body)
        except RedactionError:
            pass  # counts candidates in another order
        else:
            expected.DiscardUnknownFields()  # type: ignore[attr-defined]
            assert result == expected, "the engine and the slow reference differ"
    if redaction.body is not body:
        return
    try:
        _, counts = reference.redact(signal, body)
    except RedactionError:
        return
    assert not counts, "a request went through untouched in which the rules find something"


def _parsed(signal: Signal, body: bytes) -> Any:
    """The request as a reader sees it; None if none can read it."""
    try:
        request: Any = REQUESTS[signal].FromString(body)
    except DecodeError:
        return None
    request.DiscardUnknownFields()
    return request
