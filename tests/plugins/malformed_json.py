# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Statements and envelopes that are not what they should be: what JSON readers differ about, and members of other types."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from good_bundle import Good, Malformed

from runrecord.ledger.bundle_format import PAYLOAD_TYPE, STATEMENT
from runrecord.ledger.container import pack
from runrecord.semconv.canonical import canonical_json


def _tricks(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield other spellings of an object, and what JSON readers differ about."""
    yield "a member twice", good[:-1] + b',"_type":"x","_type":"x"}'
    yield "the same member again", b'{"_type":"https://in-toto.io/Statement/v1",' + good[1:]
    yield "white space", good.replace(b",", b", ", 1)
    yield "a line feed behind", good + b"\n"
    yield "a byte order mark", b"\xef\xbb\xbf" + good
    yield "UTF-16", good.decode().encode("utf-16")
    yield "a comment", b"/**/" + good
    yield "another value behind", good + good
    yield "a comma behind", good[:-1] + b",}"
    for what, value in (
        ("NaN", b"NaN"), ("infinity", b"-Infinity"), ("a number too large", b"1e400"), ("a huge integer", b"9" * 5_000),
        ("a negative zero", b"-0"), ("a float", b"1.0"), ("an exponent", b"1e2"), ("hexadecimal", b"0x10"), ("a leading zero", b"01"),
        ("single quotes", b"'x'"), ("a lone surrogate", b'"\\ud800"'), ("a surrogate in bytes", b'"\xed\xa0\x80"'), ("an overlong NUL", b'"\xc0\x80"'),
        ("a control character", b'"\x01"'), ("an unescaped line feed", b'"\n"'), ("an escaped letter", b'"\\u0061"'), ("a bad escape", b'"\\x"'),
        ("deep arrays", b"[" * 100_000 + b"]" * 100_000), ("deep objects", b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        ("seventy levels", b"[" * 70 + b"]" * 70), ("True", b"True"), ("undefined", b"undefined"),
    ):  # fmt: skip
        yield what, good[:-1] + b',"zz":' + value + b"}"
    yield "nothing", b""
    yield "null", b"null"
    yield "an array", b"[" + good + b"]"
    yield "a text", b'"x"'
    yield "not closed", good[:-1]
    yield "only brackets", b"[" * 1_000_000


def statements(good: Good) -> Iterator[Malformed]:
    for what, payload in _tricks(canonical_json(good.statement())):
        yield Malformed(f"a signed statement with {what}", good.payload(payload), ("statement",))
    log = ("predicate", "logs", 0)
    for path, values in {
        ("_type",): ("", None, "https://in-toto.io/Statement/v0.1"),
        ("subject",): ([], {}, [1], "x"),
        ("subject", 0, "name"): ("run:", "run:other", 1),
        ("subject", 0, "digest"): ({}, {"sha512": "00"}, "x"),
        ("subject", 0, "digest", "sha256"): ("", "00" * 31, "GG" * 32, "AB" * 32),
        ("predicate",): ([], "x", None, {}),
        ("predicate", "run"): ("", "other", 1, None),
        ("predicate", "logs"): ([], {}, [1], [[]], "x"),
        ("predicate", "materials"): ([], "x", {"a": 1}, {}),
        ("predicate", "completeness"): ([], "x"),
        (*log, "origin"): ("", "../x", "x" * 10_000, 1, None, "example.com/test\n"),
        (*log, "size"): ("", "-1", "01", 1, "9" * 20, "9" * 100, "1e3", None, "\u0661"),
        (*log, "root"): ("", "00", "x" * 64, 1, None),
        (*log, "indices"): ([], {}, ["1", "1"], ["2", "1"], [1], ["-1"], ["9" * 20], [None], "12"),
        (*log, "known"): ({}, ["2", "1"], [1], ["99"], [str(n) for n in range(2_000)]),
    }.items():
        for value in values:
            yield Malformed(
                f"{'.'.join(map(str, path))} is {str(value)[:20]!r} ({len(str(value))} characters)",
                good.signed(good.files, lambda s, path=path, value=value: _put(s, path, value)),
                ("statement", "contents", "checkpoint", "inclusion"),
            )
    twice = good.signed(good.files, lambda s: s["predicate"]["logs"].append(s["predicate"]["logs"][0]))
    yield Malformed("a log twice", twice, ("statement",))
    too_many = [str(number) for number in range(200_001)]
    yield Malformed(
        "too many entries",
        good.signed(good.files, lambda s: _put(s, (*log, "indices"), too_many)),
        ("statement",),
    )


def _put(value: Any, path: tuple[str | int, ...], new: object) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


def envelopes(good: Good) -> Iterator[Malformed]:
    envelope = good.files[STATEMENT]
    for what, data in _tricks(envelope):
        yield Malformed(f"an envelope with {what}", pack({**good.files, STATEMENT: data}), ("statement",))
    members = json.loads(envelope)
    for change in (
        {"payload": ""}, {"payload": "*"}, {"payload": members["payload"] + "="}, {"payload": members["payload"].rstrip("=") + "\n"},
        {"payload": 1}, {"payloadType": None}, {"signatures": {}}, {"signatures": None}, {"payloadType": PAYLOAD_TYPE.upper()},
        {"payload": b64encode(bytes(1_000_000)).decode()},
    ):  # fmt: skip
        name = f"an envelope of {len(str(change))} characters in which {str(change)[:40]}"
        yield Malformed(
            name, pack({**good.files, STATEMENT: canonical_json({**members, **change})}), ("statement",)
        )
    for lacking in members:
        rest = {key: value for key, value in members.items() if key != lacking}
        yield Malformed(
            f"an envelope without {lacking}",
            pack({**good.files, STATEMENT: canonical_json(rest)}),
            ("statement",),
        )
