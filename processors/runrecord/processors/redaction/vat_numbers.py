# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""VAT identification numbers of the member states of the EU, with the check digits that are published."""

# ruff: noqa: PLR2004  the numbers are those of the published algorithms

from __future__ import annotations

import re
from collections.abc import Callable

from runrecord.processors.redaction.check_digits import any_century, luhn, mod_11_10, weighted
from runrecord.processors.redaction.national_numbers import bg_egn, cz_birth, es_dni, es_nie, lv_personal


def _at(number: str) -> bool:
    digits = number[1:]
    total = sum(
        int(d) if index % 2 == 0 else int(d) // 5 + int(d) * 2 % 10 for index, d in enumerate(digits[:7])
    )
    return (10 - (total + 4) % 10) % 10 == int(digits[7])


def _be(number: str) -> bool:
    return (int(number[:8]) + int(number[8:])) % 97 == 0


def _bg(number: str) -> bool:
    if len(number) == 9:
        check = weighted(number, range(1, 9)) % 11
        if check == 10:
            check = weighted(number, range(3, 11)) % 11 % 10
        return check == int(number[8])
    foreigner = weighted(number, (21, 19, 17, 13, 11, 9, 7, 3, 1)) % 10
    other = (11 - weighted(number, (4, 3, 2, 7, 6, 5, 4, 3, 2))) % 11
    return bg_egn(number) or int(number[9]) in {foreigner, other}


def _cy(number: str) -> bool:
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21)
    total = sum(odd[int(d)] if index % 2 == 0 else int(d) for index, d in enumerate(number[:8]))
    return chr(65 + total % 26) == number[8]


def _cz(number: str) -> bool:
    if len(number) == 8:
        check = (11 - weighted(number, range(8, 1, -1))) % 11
        return number[0] != "9" and (check or 1) % 10 == int(number[7])
    if len(number) == 9 and number[0] == "6":
        check = weighted(number[1:8], range(8, 1, -1)) % 11
        return (8 - (10 - check) % 11) % 10 == int(number[8])
    by_birth = any_century(int(number[:2]), int(number[2:4]) % 50 % 20, int(number[4:6]))
    return by_birth if len(number) == 9 else cz_birth(number)


def _dk(number: str) -> bool:
    return weighted(number, (2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0


def _ee(number: str) -> bool:
    return weighted(number, (3, 7, 1, 3, 7, 1, 3, 7, 1)) % 10 == 0


def _el(number: str) -> bool:
    return weighted(number, (256, 128, 64, 32, 16, 8, 4, 2)) % 11 % 10 == int(number[8])


def _es(number: str) -> bool:
    if number[0].isdigit():
        return es_dni(number)
    if number[0] in "XYZ":
        return es_nie(number)
    digits = number[1:8]
    if number[0] in "KLM":
        return "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23] == number[8]
    total = sum(
        int(d) * 2 // 10 + int(d) * 2 % 10 if index % 2 == 0 else int(d) for index, d in enumerate(digits)
    )
    check = (10 - total % 10) % 10
    return number[8] in {str(check), "JABCDEFGHI"[check]}


def _fi(number: str) -> bool:
    return weighted(number, (7, 9, 10, 5, 8, 4, 2, 1)) % 11 == 0


_FRENCH = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"


def _fr(number: str) -> bool:
    company = number[2:]
    if not luhn(company) and company[:3] != "000":  # Monaco has no Luhn check
        return False
    if number[:2].isdigit():
        return int(company + "12") % 97 == int(number[:2])
    first, second = _FRENCH.index(number[0]), _FRENCH.index(number[1])
    check = first * 24 + second - 10 if number[0].isdigit() else first * 34 + second - 100
    return (int(company) + 1 + check // 11) % 11 == check % 11


def _hu(number: str) -> bool:
    return weighted(number, (9, 7, 3, 1, 9, 7, 3, 1)) % 10 == 0


def _ie(number: str) -> bool:
    if not number[1].isdigit():  # the older form, with the letter in the second place
        number = "0" + number[2:7] + number[0] + number[7]
    second = number[8:9].replace("W", "")
    total = weighted(number, range(8, 1, -1)) + (9 * (ord(second) - 64) if second else 0)
    return "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] == number[7]


def _it(number: str) -> bool:
    province = int(number[7:10])
    return luhn(number) and (1 <= province <= 100 or province in {120, 121, 888, 999})


def _lt(number: str) -> bool:
    length = len(number) - 1
    check = weighted(number[:-1], [1 + index % 9 for index in range(length)]) % 11
    if check == 10:
        check = weighted(number[:-1], [1 + (index + 2) % 9 for index in range(length)]) % 11 % 10
    return number[-2] == "1" and check == int(number[-1])


def _lu(number: str) -> bool:
    return int(number[:6]) % 89 == int(number[6:])


def _lv(number: str) -> bool:
    if number[0] > "3":
        return weighted(number, (9, 1, 4, 8, 3, 10, 2, 5, 7, 6, 1)) % 11 == 3
    return lv_personal(number)


def _mt(number: str) -> bool:
    return weighted(number, (3, 4, 6, 7, 8, 9, 10, 1)) % 37 == 0


def _nl(number: str) -> bool:
    by_eleven = (weighted(number, range(9, 1, -1)) - int(number[8])) % 11 == 0
    by_97 = int("".join(str(int(char, 36)) for char in "NL" + number)) % 97 == 1
    return by_eleven or by_97


def _pl(number: str) -> bool:
    return weighted(number, (6, 5, 7, 2, 3, 4, 5, 6, 7)) % 11 == int(number[9])


def _pt(number: str) -> bool:
    return number[0] != "0" and (11 - weighted(number, range(9, 1, -1)) % 11) % 11 % 10 == int(number[8])


def _ro(number: str) -> bool:
    return weighted(number[:-1].zfill(9), (7, 5, 3, 2, 1, 7, 5, 3, 2)) * 10 % 11 % 10 == int(number[-1])


def _se(number: str) -> bool:
    return number[10:] == "01" and luhn(number[:10])


def _si(number: str) -> bool:
    check = 11 - weighted(number, range(8, 1, -1)) % 11
    return number[0] != "0" and check != 11 and check % 10 == int(number[7])


def _sk(number: str) -> bool:
    return cz_birth(number) or (number[0] != "0" and number[2] in "234789" and int(number) % 11 == 0)


_FORMS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "AT": (r"U\d{8}", _at),
    "BE": (r"[01]\d{9}", _be),
    "BG": (r"\d{9,10}", _bg),
    "CY": (r"[0-59]\d{7}[A-Z]", _cy),
    "CZ": (r"\d{8,10}", _cz),
    "DE": (r"[1-9]\d{8}", mod_11_10),
    "DK": (r"[1-9]\d{7}", _dk),
    "EE": (r"\d{9}", _ee),
    "EL": (r"\d{9}", _el),
    "ES": (r"[A-Z0-9]\d{7}[A-Z0-9]", _es),
    "FI": (r"\d{8}", _fi),
    "FR": (r"[A-HJ-NP-Z0-9]{2}\d{9}", _fr),
    "HR": (r"\d{11}", mod_11_10),
    "HU": (r"\d{8}", _hu),
    "IE": (r"\d[A-Z0-9+*]\d{5}[A-W][A-IW]?", _ie),
    "IT": (r"\d{11}", _it),
    "LT": (r"\d{9}|\d{12}", _lt),
    "LU": (r"\d{8}", _lu),
    "LV": (r"\d{11}", _lv),
    "MT": (r"\d{8}", _mt),
    "NL": (r"\d{9}B\d{2}", _nl),
    "PL": (r"\d{10}", _pl),
    "PT": (r"\d{9}", _pt),
    "RO": (r"[1-9]\d{1,9}", _ro),
    "SE": (r"\d{12}", _se),
    "SI": (r"\d{8}", _si),
    "SK": (r"\d{10}", _sk),
}


def is_vat(number: str) -> bool:
    """Whether a number, the country's two letters before it and no separators in it, could be a VAT number."""
    country = "EL" if number[:2] == "GR" else number[:2]
    if country not in _FORMS:
        return False
    form, check = _FORMS[country]
    return re.fullmatch(form, number[2:]) is not None and check(number[2:])
