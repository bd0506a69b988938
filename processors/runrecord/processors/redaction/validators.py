# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Checks that a regex cannot make: check digits, number plans, and what is plainly a placeholder."""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter
from collections.abc import Callable

from runrecord.processors.redaction.national_numbers import NUMBERS
from runrecord.processors.redaction.vat_numbers import is_vat

Validator = Callable[[bytes, int, int], int]
"""Gets the whole text and a match's start and end (byte offsets); returns the end of what counts, 0 for nothing."""

_SEPARATOR = re.compile(rb"[ ./-]")
_NOT_DIGIT = re.compile(rb"[^0-9]")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_CARD_LENGTHS = {14, 15, 16, 19}
# Values that stand where a secret would stand, and are none.
_PLACEHOLDER = re.compile(
    rb"(?i:null|none|nil|true|false|undefined|string|redacted|\*+|x+|\.+|-+|10*|0"
    rb"|<[^>]*>|\$\{[^}]*\}|\$\([^)]*\)|\{\{[^}]*\}\}|%\([^)]*\)s|\$[A-Z_]+"
    rb")"
)
_NAME = re.compile(rb"[A-Za-z_$]+(?:\.[A-Za-z_$][A-Za-z0-9_$]*)*[.:]?")
_PLACEHOLDER_LIMIT = 100
_DIGIT = re.compile(rb"[0-9]")
_LETTER = re.compile(rb"[A-Za-z]")
_RANDOM_BITS = 3.0


def luhn(digits: bytes) -> bool:
    """Whether ASCII digits pass the Luhn check (ISO/IEC 7812-1, annex B)."""
    total = 0
    for index, byte in enumerate(reversed(digits)):
        digit = byte - 48
        total += _DOUBLED[digit] if index & 1 else digit
    return total % 10 == 0


def card(text: bytes, start: int, end: int) -> int:
    """A payment card number: issuer range, length of that issuer, and the Luhn check.

    The obsolete 13-digit numbers are left out: every Unix time in milliseconds has that length.
    """
    digits = _NOT_DIGIT.sub(b"", text[start:end])
    if len(digits) not in _CARD_LENGTHS or not _issuer(digits):
        return 0
    return end if len(set(digits)) > 1 and luhn(digits) else 0


def _issuer(digits: bytes) -> bool:
    two, four = int(digits[:2]), int(digits[:4])
    return {
        14: two in {36, 38, 39} or 300 <= int(digits[:3]) <= 305,  # noqa: PLR2004
        15: two in {34, 37},
        16: digits[:1] == b"4"
        or 51 <= two <= 55  # noqa: PLR2004
        or 2221 <= four <= 2720  # noqa: PLR2004
        or four == 6011  # noqa: PLR2004
        or two in {62, 64, 65}
        or 3528 <= four <= 3589,  # noqa: PLR2004
        19: digits[:1] == b"4" or two in {62, 65},
    }[len(digits)]


# Lengths of the IBAN registry (SWIFT, release 99).
_IBAN_LENGTHS = {
    text[:2]: int(text[2:])
    for text in (
        b"AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 "
        b"FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 "
        b"LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 "
        b"RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
    ).split()
}


def iban(text: bytes, start: int, end: int) -> int:
    """An IBAN: the country's length and ISO 7064 mod 97-10; what follows that length does not count."""
    length = _IBAN_LENGTHS.get(text[start : start + 2], 0)
    taken = 0
    position = start
    while taken < length and position < end:
        taken += text[position] != 0x20  # noqa: PLR2004  a space
        position += 1
    if not length or taken < length or text[position : position + 1].isalnum():
        return 0
    compact = text[start:position].replace(b" ", b"")
    moved = (compact[4:] + compact[:4]).decode("ascii")
    return position if int("".join(str(int(char, 36)) for char in moved)) % 97 == 1 else 0


def ssn(text: bytes, start: int, end: int) -> int:
    """A US social security number as the SSA issues them (no area 000, 666, 9xx; no group 00; no serial 0000)."""
    digits = _NOT_DIGIT.sub(b"", text[start:end])
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    issued = area not in {b"000", b"666"} and area < b"900" and group != b"00" and serial != b"0000"
    return end if issued else 0


def phone(text: bytes, start: int, end: int) -> int:
    """A telephone number: E.164 length after a plus sign, otherwise the North American numbering plan."""
    raw = text[start:end]
    digits = _NOT_DIGIT.sub(b"", raw.replace(b"u002B", b"").replace(b"u002b", b""))
    if raw[:1] in {b"+", b"\\"}:
        return end if 8 <= len(digits) <= 15 and len(set(digits)) > 2 else 0  # noqa: PLR2004
    return end if digits[1:3] != b"11" and digits[4:6] != b"11" else 0


def ipv4(text: bytes, start: int, end: int) -> int:
    """An IPv4 address of some host: not loopback, unspecified, multicast or a netmask."""
    try:
        address = ipaddress.IPv4Address(text[start:end].decode("ascii"))
    except ValueError:
        return 0
    first = address.packed[0]
    return end if first not in {0, 127} and first < 224 else 0  # noqa: PLR2004


def ipv6(text: bytes, start: int, end: int) -> int:
    """An IPv6 address in RFC 4291 text form."""
    try:
        ipaddress.IPv6Address(text[start:end].decode("ascii"))
    except ValueError:
        return 0
    return end


def mac(text: bytes, start: int, end: int) -> int:
    """A MAC address of some interface: neither broadcast nor zero."""
    return end if len(set(text[start:end].lower())) > 2 else 0  # noqa: PLR2004  one digit and the separator


def assigned(text: bytes, start: int, end: int) -> int:
    """A value that is assigned to a name like ``password``, and is neither a placeholder nor program text."""
    if end - start > _PLACEHOLDER_LIMIT:
        return end
    if _PLACEHOLDER.fullmatch(text, start, end):
        return 0
    if start and text[start - 1] in b"\"'":
        return end
    return 0 if _NAME.fullmatch(text, start, end) or text[end : end + 1] in {b"(", b"["} else end


def assigned_text(text: bytes, start: int, end: int) -> int:
    """A value that is no placeholder, whatever stands around it."""
    return 0 if end - start <= _PLACEHOLDER_LIMIT and _PLACEHOLDER.fullmatch(text, start, end) else end


def mixed(text: bytes, start: int, end: int) -> int:
    """A token with letters and digits in it, which words of prose are not."""
    value = text[start : min(end, start + 4096)]
    if _PLACEHOLDER.fullmatch(value[:_PLACEHOLDER_LIMIT]):
        return 0
    has_both = any(48 <= byte <= 57 for byte in value) and any(byte >= 65 for byte in value)  # noqa: PLR2004
    return end if has_both else 0


def random(text: bytes, start: int, end: int) -> int:
    """A value that looks drawn at random: digits and letters, and an entropy of 3 bits per character or more."""
    value = text[start : min(end, start + 1024)]
    has_both = _DIGIT.search(value) is not None and _LETTER.search(value) is not None
    return end if has_both and entropy(value) >= _RANDOM_BITS else 0


def entropy(value: bytes) -> float:
    """The Shannon entropy of a text in bits per byte."""
    length = len(value)
    return -sum(count / length * math.log2(count / length) for count in Counter(value).values())


def _number(check: Callable[[str], bool]) -> Validator:
    def validate(text: bytes, start: int, end: int) -> int:
        compact = _SEPARATOR.sub(b"", text[start:end]).upper().decode("ascii")
        return end if check(compact) else 0

    return validate


VALIDATORS: dict[str, Validator] = {
    "card": card,
    "iban": iban,
    "ssn": ssn,
    "phone": phone,
    "ipv4": ipv4,
    "ipv6": ipv6,
    "mac": mac,
    "assigned": assigned,
    "assigned_text": assigned_text,
    "mixed": mixed,
    "random": random,
    "vat": _number(is_vat),
    **{name: _number(check) for name, check in NUMBERS.items()},
}
