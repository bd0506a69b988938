# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Personal data with a form of its own: addresses, numbers of accounts, people and hosts."""

from __future__ import annotations

from typing import Final

from runrecord.processors.redaction.packs.shapes import END, NUMBER_END
from runrecord.processors.redaction.rule import Rule

_AT: Final = r"(?:@|\\{1,7}u0040|%40)"

PII: Final = (
    Rule(
        id="email",
        description="E-mail address",
        seed=rf"[A-Za-z0-9._%+-]{_AT}[A-Za-z0-9]",
        exact=rf"{_AT}(?:[A-Za-z0-9][A-Za-z0-9-]{{0,62}}\.){{1,8}}[A-Za-z]{{2,24}}",
        left="any",
        keywords=("@", "u0040", "%40"),
        finder="email",
        severity="medium",
        examples=(
            "ada@example.com",
            "a.b+c@mail.example.co.uk",
            r"ada\u0040example.com",
            "ada%40example.com",
            r"\nada@example.com",
        ),
        counter_examples=("@click.command", r"\n@click.command", "pkg@1.2.3", "a @ b.com", "user@localhost"),
        source="RFC 5321",
    ),
    Rule(
        id="card",
        description="Payment card number, with issuer range and Luhn check",
        seed="(?:[2-6][0-9]{13}|[2-6][0-9]{3}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{4}|[2-6][0-9]{3}[ -][0-9]{6}[ -][0-9]{4})",
        exact="(?:[2-6][0-9]{13,18}|[2-6][0-9]{3}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{4}|[2-6][0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5})"
        + NUMBER_END,
        left="number",
        validator="card",
        examples=(
            "4111 1111 1111 1111",
            "4111111111111111",
            "3782-822463-10005",
            "5555-5555-5555-4444",
            '{"card": 4111111111111111}',
        ),
        counter_examples=(
            "4111 1111 1111 1112",
            "0.4111111111111111",
            "1732000000000",
            "1732000000000000000",
            "4111111111111111.5",
        ),
        source="ISO/IEC 7812-1",
    ),
    Rule(
        id="iban",
        description="International bank account number, with length and check digits",
        seed="[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4} ?[A-Z0-9]{4}",
        exact="[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2}(?: ?[A-Z0-9]){3,27}",
        validator="iban",
        examples=(
            "DE89370400440532013000",
            "DE89 3704 0044 0532 0130 00 AND MORE",
            "GB82 WEST 1234 5698 7654 32",
            r"\nNL91ABNA0417164300",
        ),
        counter_examples=("DE89370400440532013001", "AB12CDEF3456GHIJ7890"),
        source="ISO 13616",
    ),
    Rule(
        id="us-ssn",
        description="US social security number",
        seed="[0-9]{3}-[0-9]{2}-[0-9]{4}",
        exact="[0-9]{3}-[0-9]{2}-[0-9]{4}" + NUMBER_END,
        left="number",
        validator="ssn",
        examples=("123-45-6789", r"\u00a0123-45-6789", "ssn=123-45-6789;"),
        counter_examples=(
            "000-45-6789",
            "666-45-6789",
            "900-45-6789",
            "123-00-6789",
            "123-45-0000",
            "2024-123-45-6789",
            "123-45-67890",
        ),
        source="US Social Security Administration, number randomization",
    ),
    Rule(
        id="phone",
        description="Telephone number: E.164 with its plus sign, or North American with separators",
        seed=r"(?:(?:\+|u002[bB])[1-9](?:[ .()-]{0,3}[0-9]){7}|[2-9][0-9]{2}\)?[ .-]{1,2}[2-9][0-9]{2}[ .-][0-9]{4})",
        exact=r"(?:(?:\+|\\{1,7}u002[bB])[1-9](?:[ .()-]{0,3}[0-9]){7,14}|\(?[2-9][0-9]{2}\)?[ .-]{1,2}[2-9][0-9]{2}[ .-][0-9]{4})"
        + NUMBER_END,
        left="number",
        validator="phone",
        severity="medium",
        examples=("+1 415 555 0123", "+49 30 901820", "(415) 555-0123", "415-555-0123", r"\u002B14155550123"),
        counter_examples=("115-555-0123", "415-155-0123", "2024-05-17", "+1", "4155550123", "3 + 12345678"),
        source="ITU-T E.164; North American Numbering Plan",
    ),
    Rule(
        id="ipv4",
        description="IPv4 address of a host",
        seed=r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
        exact=r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}" + NUMBER_END,
        left="number",
        validator="ipv4",
        severity="low",
        examples=("192.0.2.1", "host 198.51.100.23:8080"),
        counter_examples=("127.0.0.1", "0.0.0.0", "255.255.255.0", "1.2.3.4.5", "v1.2.3.4", "300.1.1.1"),  # noqa: S104
        source="RFC 791",
    ),
    Rule(
        id="ipv6",
        description="IPv6 address: global, unique local or link-local",
        seed="(?:[23][0-9A-Fa-f]{3}|[fF][c-eC-E][0-9A-Fa-f]{2}):[0-9A-Fa-f]{0,4}:",
        exact="(?:[23][0-9A-Fa-f]{3}|[fF][c-eC-E][0-9A-Fa-f]{2}):[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){0,5}:(?:[0-9A-Fa-f]{1,4}|(?<=::))"
        + END,
        keywords=(":",),
        validator="ipv6",
        severity="low",
        examples=("2001:db8::1", "fe80::1ff:fe23:4567:890a", "2001:db8:0:0:0:0:2:1", "2001:db8::"),
        counter_examples=("2024:12:31", "::1", "fade:out:now"),
        source="RFC 4291",
    ),
)
