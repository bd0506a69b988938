# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Credentials that no one provider owns: private keys, tokens in headers, credentials in URLs, assignments."""

from __future__ import annotations

from typing import Final

from runrecord.processors.redaction.packs.shapes import ASSIGN, ASSIGN_SEED, QUOTE, SLASH, fake
from runrecord.processors.redaction.rule import Rule

_NAMES: Final = (
    r"(?i:pass(?:word|wd|phrase)|pwd|secret|api[_-]?key|(?:access|auth|refresh|session|bearer|id|api)[_-]?token"
    r"|private[_-]?key|access[_-]?key)"
)
# What shells and tools print as PWD is a path.
_WORKING_DIRECTORY: Final = r"""(?!(?i:pwd)[\\"'` \t]{0,12}[:=][\\"'` \t]{0,12}(?:/|~|[A-Za-z]:))"""
_NAME_TAIL: Final = "[A-Za-z0-9_-]{0,12}"
# What follows the quote at the end of a JSON string: then the quote opens no value.
_NO_VALUE: Final = r"(?!(?:[ \t\r\n]|\\{1,15}[nrt])*[,}\]:])"
_ESCAPE: Final = r"""\\{1,15}(?!["'`\\]|u002[27])[ -~]"""
# A quoted value ends at its own quote, and never reaches beyond the end of a JSON string around it: a plain double
# quote may hold escapes, an escaped one may hold quotes with more backslashes than its own.
_VALUE: Final = (
    rf"""(?:"{_NO_VALUE}(?P<v>(?:[^"\\\r\n]|\\.){{4,}})"|'{_NO_VALUE}(?P<w>(?:[^"'\\\r\n]|{_ESCAPE}){{4,}})'"""
    rf"""|(?P<o>\\{{1,7}})(?:"|u0022){_NO_VALUE}(?P<x>(?:[^"\\\r\n]|\\{{1,15}}(?!["\\]|u0022)[ -~]|(?P=o)\\{{1,8}}(?:"|u0022)){{4,}})"""
    rf"""|\\{{1,7}}(?:['`]|u0027){_NO_VALUE}(?P<z>(?:[^"'`\\\r\n]|{_ESCAPE}){{4,}})"""
    r"""|(?P<y>[^\s"'`\\,;&<>(){}\[\]|]{8,}))"""
)
_PEM: Final = "-----BEGIN " + "PRIVATE KEY-----"
_PEM_END: Final = "-----END " + "PRIVATE KEY-----"

CREDENTIALS: Final = (
    Rule(
        id="private-key",
        description="PEM private key of any kind, also cut off before its end",
        seed="-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY",
        exact="-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
        left="any",
        keywords=("private key",),
        finder="pem",
        severity="critical",
        examples=(
            _PEM + "\n" + fake("MII", 64, "aB3/") + "\n" + _PEM_END,
            _PEM + r"\n" + fake("MII", 64, "aB3/") + r"\n" + _PEM_END + r"\n",
            _PEM + r"\\n" + fake("MII", 64, "aB3/"),
        ),
        counter_examples=("-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----"),
        source="RFC 7468",
    ),
    Rule(
        id="jwt",
        description="JSON Web Token, signed",
        seed=r"[A-Za-z0-9_-]{8}\.eyJ[A-Za-z0-9_-]{8}",
        exact=r"eyJ[A-Za-z0-9_-]{8,4096}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
        left="token",
        keywords=("eyj",),
        examples=(fake("eyJ", 17) + fake(".eyJ", 40) + fake(".", 43),),
        counter_examples=(fake("eyJ", 40), "eyJ.eyJ"),
        source="RFC 7519",
    ),
    Rule(
        id="bearer-token",
        description="Bearer token of an Authorization header",
        seed=r"(?i:bearer)(?:[ \t]|%20|\\t)[ \t]{0,4}[A-Za-z0-9._~+/=-]{16}",
        exact=r"(?i:bearer)(?:[ \t]|%20|\\t)[ \t]{0,4}(?P<v>[A-Za-z0-9._~+/=-]{16,})",
        keywords=("bearer",),
        validator="mixed",
        examples=(fake("Authorization: Bearer ", 32), fake("bearer ", 24)),
        counter_examples=("the bearer of good news", "Bearer authentication-required", "Bearer ${ACCESS_TOKEN_12}"),
        source="RFC 6750",
    ),
    Rule(
        id="basic-auth",
        description="Credentials of a Basic Authorization header",
        seed=r"(?i:authorization)" + ASSIGN_SEED,
        exact=rf"(?i:authorization){ASSIGN}{QUOTE}?(?i:basic)[ \t]{{1,4}}(?P<v>[A-Za-z0-9+/_-]{{8,}}={{0,2}})",
        keywords=("authorization",),
        examples=(fake("Authorization: Basic ", 24), r"{\"authorization\": \"Basic " + fake("", 24) + r"\"}"),
        counter_examples=("Authorization: Basic", "basic authorization is discouraged"),
        source="RFC 7617",
    ),
    Rule(
        id="url-credentials",
        description="Password in a URL",
        seed=r"""/[^\s:/@"'\\<>]*:[^\s/@"'\\<>]+@""",
        exact=rf""":{SLASH}{SLASH}[^\s:/@"'\\<>]{{0,128}}:(?P<v>[^\s/@"'\\<>]{{1,256}})@""",
        left="any",
        keywords=(":/", ":\\"),
        validator="assigned_text",
        severity="critical",
        examples=("postgres://app:" + "pass1word" + "@db.example.com:5432/orders", r"https:\/\/u:" + "pass1word" + r"@example.com\/"),
        counter_examples=("https://example.com:8080/a@b", "postgres://app:${DB_PASSWORD}@db.example.com/orders"),
        source="RFC 3986, section 3.2.1",
    ),
    Rule(
        id="secret-assignment",
        description="Value that is assigned to a name like password, secret, api_key or access_token",
        seed=_NAMES + _NAME_TAIL + ASSIGN_SEED,
        exact=_WORKING_DIRECTORY + _NAMES + _NAME_TAIL + ASSIGN + _VALUE,
        left="any",
        keywords=(
            "passw", "passphrase", "pwd", "secret", "apikey", "api_key", "api-key", "token", "private", "access",
        ),
        validator="assigned",
        examples=(
            "password=" + "pass1word",
            "DB_PASSWORD: '" + "correct horse" + "'",
            '{"api_key": "' + "0123abcd" + '"}',
            r'{\"client_secret\":\"' + "0123abcd" + r'\"}',
            '"access_token": 123456789012',
            r'"password": "' + r"a\"b\u0063d" + '"',
        ),
        counter_examples=(
            "password: required",
            "password = get_password()",
            '"password": null',
            "password=${DB_PASSWORD}",
            "secret: [REDACTED]",
            "PWD=/home/ada/project",
            r'{\"pwd\": \"C:\\\\work\"}',
            '"max_tokens": 4096000000',
            '{"password": ""}',
            '{"text": "password: ",      "other": "hello"}',
            r'{\"text\": \"password: \",      \"other\": \"hello\"}',
        ),
    ),
)  # fmt: skip
