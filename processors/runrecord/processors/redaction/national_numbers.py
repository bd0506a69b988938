# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""National numbers of people, by country: whether one could have been given out."""

# ruff: noqa: PLR2004  the numbers are those of the published algorithms

from __future__ import annotations

from collections.abc import Callable

from runrecord.processors.redaction.check_digits import (
    any_century,
    backward_date,
    is_date,
    luhn,
    mod_11_10,
    one_value,
    short_date,
    weighted,
)

# --- United States


def us_itin(number: str) -> bool:
    """An individual taxpayer number: 9xx, and a group that the IRS assigns."""
    group = int(number[3:5])
    return number[0] == "9" and (
        50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99
    )


_NO_EIN_PREFIX = {0, 7, 8, 9, 17, 18, 19, 28, 29, 49, 69, 70, 78, 79, 89, 96, 97}


def us_ein(number: str) -> bool:
    """An employer identification number: a prefix that the IRS assigns."""
    return int(number[:2]) not in _NO_EIN_PREFIX


def us_routing(number: str) -> bool:
    """A bank routing number: a Federal Reserve prefix and the ABA check digit."""
    prefix = int(number[:2])
    assigned = prefix <= 12 or 21 <= prefix <= 32 or 61 <= prefix <= 72 or prefix == 80
    return assigned and not one_value(number) and weighted(number, (3, 7, 1, 3, 7, 1, 3, 7, 1)) % 10 == 0


def us_npi(number: str) -> bool:
    """A national provider identifier: Luhn with the prefix 80840 (CMS)."""
    return number[0] in "12" and luhn("80840" + number)


def us_dea(number: str) -> bool:
    """A DEA registration number: two letters and seven digits with a check digit."""
    digits = number[2:]
    odd = int(digits[0]) + int(digits[2]) + int(digits[4])
    even = int(digits[1]) + int(digits[3]) + int(digits[5])
    return (odd + 2 * even) % 10 == int(digits[6])


# --- United Kingdom


def uk_nhs(number: str) -> bool:
    """An NHS number: modulus 11 (NHS Data Dictionary)."""
    check = 11 - weighted(number, range(10, 1, -1)) % 11
    return not one_value(number) and check != 10 and check % 11 == int(number[9])


def uk_utr(number: str) -> bool:
    """A unique taxpayer reference: the check digit first, modulus 11 (HMRC)."""
    check = 11 - weighted(number[1:], (6, 7, 8, 9, 10, 5, 4, 3, 2)) % 11
    return int(number[0]) == (check if check < 10 else check - 9)


def uk_nino(number: str) -> bool:
    """A national insurance number: letters that HMRC gives out."""
    first, second = number[0], number[1]
    return (
        first not in "DFIQUV"
        and second not in "DFIOQUV"
        and number[:2] not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}
    )


def uk_driver(number: str) -> bool:
    """A driver number: month (plus 50 for women) and day of birth in it (DVLA)."""
    month, day = int(number[6:8]), int(number[8:10])
    return is_date(2000, month - 50 if month > 50 else month, day)


# --- European Union, European Economic Area, Switzerland


def at_svnr(number: str) -> bool:
    """Austria, Sozialversicherungsnummer."""
    weights = (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)
    month = int(number[6:8])
    return number[0] != "0" and 1 <= month <= 15 and weighted(number, weights) % 11 == int(number[3])


def be_national(number: str) -> bool:
    """Belgium, numéro de registre national / rijksregisternummer: 97 minus the rest; a 2 before it from 2000 on."""
    base, check = number[:9], int(number[9:])
    month = int(number[2:4]) % 20
    return month <= 12 and any(97 - int(century + base) % 97 == check for century in ("", "2"))


def bg_egn(number: str) -> bool:
    """Bulgaria, ЕГН: the month says the century."""
    year, month, day = int(number[:2]), int(number[2:4]), int(number[4:6])
    century = {0: 1900, 1: 1800, 2: 2000}[month // 20] if month < 60 else 0
    total = weighted(number, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10
    return bool(century) and is_date(century + year, month % 20, day) and total == int(number[9])


def ch_ahv(number: str) -> bool:
    """Switzerland, AHV number: EAN-13 beginning with 756."""
    return number.startswith("756") and weighted(number, (1, 3) * 6 + (1,)) % 10 == 0


def cz_birth(number: str) -> bool:
    """Czechia and Slovakia, rodné číslo: a multiple of 11 since 1954."""
    month = int(number[2:4]) % 50 % 20
    rest = int(number[:9]) % 11 % 10
    return any_century(int(number[:2]), month, int(number[4:6])) and rest == int(number[9])


def de_tax_id(number: str) -> bool:
    """Germany, Steuer-Identifikationsnummer: one digit twice or three times in the first ten, ISO 7064 MOD 11,10."""
    counts = sorted(number[:10].count(digit) for digit in set(number[:10]))
    repeated = [count for count in counts if count > 1]
    return number[0] != "0" and repeated in ([2], [3]) and mod_11_10(number)


def de_pension(number: str) -> bool:
    """Germany, Rentenversicherungsnummer: the letter as two digits, sums of digits of the weighted."""
    digits = number[:8] + f"{ord(number[8]) - 64:02d}" + number[9:]
    products = (
        int(digit) * weight
        for digit, weight in zip(digits, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=False)
    )
    total = sum(product // 10 + product % 10 for product in products)
    return 1 <= int(number[4:6]) <= 12 and total % 10 == int(number[11])


def icao(number: str) -> bool:
    """The check digit of travel documents (ICAO 9303): weights 7, 3, 1."""
    total = sum(int(char, 36) * weight for char, weight in zip(number[:-1], (7, 3, 1) * 4, strict=False))
    return total % 10 == int(number[-1])


def dk_cpr(number: str) -> bool:
    """Denmark, CPR number: a day of birth (no check digit since 2007)."""
    return backward_date(number)


def ee_isikukood(number: str) -> bool:
    """Estonia and Lithuania, personal code: two rounds of weights."""
    year, month, day = int(number[1:3]), int(number[3:5]), int(number[5:7])
    century = 1800 + (int(number[0]) - 1) // 2 * 100
    check = weighted(number, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if check == 10:
        check = weighted(number, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return "1" <= number[0] <= "8" and is_date(century + year, month, day) and check == int(number[10])


_SPANISH = "TRWAGMYFPDXBNJZSQVHLCKE"


def es_dni(number: str) -> bool:
    """Spain, DNI: the letter is the rest modulo 23."""
    return _SPANISH[int(number[:8]) % 23] == number[8]


def es_nie(number: str) -> bool:
    """Spain, NIE: X, Y, Z stand for 0, 1, 2."""
    return _SPANISH[int(str("XYZ".index(number[0])) + number[1:8]) % 23] == number[8]


def fi_hetu(number: str) -> bool:
    """Finland, henkilötunnus: the day of birth, a sign of the century, and modulus 31."""
    day = backward_date(number[:6])
    return day and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(number[:6] + number[-4:-1]) % 31] == number[-1]


def fr_nir(number: str) -> bool:
    """France, numéro de sécurité sociale: 97 minus the rest; Corsica's departments count as 19 and 18."""
    digits = number[:13].replace("2A", "19").replace("2B", "18")
    month = int(number[3:5])
    return (1 <= month <= 12 or 20 <= month <= 42 or month >= 50) and 97 - int(digits) % 97 == int(
        number[13:]
    )


def gr_amka(number: str) -> bool:
    """Greece, AMKA: the day of birth and Luhn."""
    return backward_date(number) and luhn(number)


def hr_oib(number: str) -> bool:
    """Croatia, OIB: ISO 7064 MOD 11,10."""
    return mod_11_10(number)


def hu_taj(number: str) -> bool:
    """Hungary, TAJ number: weights 3 and 7."""
    return weighted(number, (3, 7) * 4) % 10 == int(number[8])


def ie_pps(number: str) -> bool:
    """Ireland, PPS number: modulus 23; a second letter A or H counts nine times, the older T, W and X do not."""
    second = number[8:9] if number[8:9] in {"A", "H"} else ""
    total = weighted(number, range(8, 1, -1)) + (9 * (ord(second) - 64) if second else 0)
    return "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] == number[7]


def is_kennitala(number: str) -> bool:
    """Iceland, kennitala: the day of birth and modulus 11."""
    return backward_date(number) and weighted(number, (3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0


_ITALIAN_MONTHS = "ABCDEHLMPRST"
_ITALIAN_DIGITS = str.maketrans(
    "LMNPQRSTUV", "0123456789"
)  # what stands for a digit where two people share a number
_ITALIAN_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def it_codice_fiscale(number: str) -> bool:
    """Italy, codice fiscale: a day of birth (plus 40 for women); odd places by a table, even ones by value, modulus 26."""
    year, day = (int(part.translate(_ITALIAN_DIGITS)) for part in (number[6:8], number[9:11]))
    if not any_century(year, _ITALIAN_MONTHS.index(number[8]) + 1, day - 40 if day > 40 else day):
        return False
    values = [int(char) if char.isdigit() else ord(char) - 65 for char in number[:15]]
    total = sum(_ITALIAN_ODD[value] if index % 2 == 0 else value for index, value in enumerate(values))
    return chr(65 + total % 26) == number[15]


def lv_personal(number: str) -> bool:
    """Latvia, personas kods: modulus 11, and the day of birth unless it begins with 32."""
    total = 1 + weighted(number, (10, 5, 8, 4, 2, 1, 6, 3, 7, 9))
    return (number[:2] == "32" or backward_date(number)) and total % 11 % 10 == int(number[10])


def nl_bsn(number: str) -> bool:
    """Netherlands, burgerservicenummer: the eleven test."""
    return not one_value(number) and (weighted(number, range(9, 1, -1)) - int(number[8])) % 11 == 0


def no_fodselsnummer(number: str) -> bool:
    """Norway, fødselsnummer (and D-number): two check digits modulo 11."""
    first = weighted(number, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11
    second = weighted(number, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11
    day = int(number[0]) % 4
    return (
        first == 0
        and second == 0
        and any_century(int(number[4:6]), int(number[2:4]) % 40, day * 10 + int(number[1]))
    )


def pl_pesel(number: str) -> bool:
    """Poland, PESEL: the month says the century."""
    month = int(number[2:4])
    century = {4: 1800, 0: 1900, 1: 2000, 2: 2100, 3: 2200}[month // 20]
    total = weighted(number, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1))
    return is_date(century + int(number[:2]), month % 20, int(number[4:6])) and total % 10 == 0


def pt_nif(number: str) -> bool:
    """Portugal, NIF: modulus 11."""
    check = (11 - weighted(number, range(9, 1, -1)) % 11) % 11 % 10
    return number[0] != "0" and check == int(number[8])


def ro_cnp(number: str) -> bool:
    """Romania, CNP: the first digit says the century, weights 279146358279."""
    check = weighted(number, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return short_date(number[1:7]) and number[0] != "0" and (1 if check == 10 else check) == int(number[12])


def se_personnummer(number: str) -> bool:
    """Sweden, personnummer (and samordningsnummer, day plus 60): Luhn over the last ten digits."""
    digits = number[-10:]
    day = int(digits[4:6]) % 60
    return any_century(int(digits[:2]), int(digits[2:4]), day) and luhn(digits)


def si_emso(number: str) -> bool:
    """Slovenia, EMŠO: modulus 11."""
    check = -weighted(number, (7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11 % 10
    year = 1000 + int(number[4:7])
    return is_date(year if year > 1800 else year + 1000, int(number[2:4]), int(number[:2])) and check == int(
        number[12]
    )


NUMBERS: dict[str, Callable[[str], bool]] = {
    check.__name__: check
    for check in (
        us_itin, us_ein, us_routing, us_npi, us_dea, uk_nhs, uk_utr, uk_nino, uk_driver, at_svnr, be_national, bg_egn,
        ch_ahv, cz_birth, de_tax_id, de_pension, icao, dk_cpr, ee_isikukood, es_dni, es_nie, fi_hetu, fr_nir, gr_amka,
        hr_oib, hu_taj, ie_pps, is_kennitala, it_codice_fiscale, lv_personal, nl_bsn, no_fodselsnummer, pl_pesel,
        pt_nif, ro_cnp, se_personnummer, si_emso,
    )
}  # fmt: skip
"""By name; each gets the number in capitals, without spaces and other separators, in the form that its rule matches."""
