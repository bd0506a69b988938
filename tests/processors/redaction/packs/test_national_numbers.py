# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Check digits are those of python-stdnum, and of the numbers that authorities publish as examples."""

from __future__ import annotations

import importlib
import random
import warnings
from typing import Any

import pytest
from generated_text import from_regex

from runrecord.processors.redaction.national_numbers import NUMBERS
from runrecord.processors.redaction.validators import VALIDATORS
from runrecord.processors.redaction.vat_numbers import is_vat

# Ours, the module there, the form that our rule matches; and how the two may differ: "=" not at all, ">" ours takes more (days of
# birth to come, counties, centuries), "<" ours takes less (numbers that are not given out).
SAME = {
    "at_svnr": ("at.vnr", r"\d{10}", "<"),
    "be_national": ("be.nn", r"\d{2}(?:0[1-9]|1[0-2])[0-2]\d\d{5}", ">"),
    "bg_egn": ("bg.egn", r"\d{2}[0-5]\d[0-3]\d\d{4}", "="),
    "ch_ahv": ("ch.ssn", r"756\d{10}", "="),
    "cz_birth": ("cz.rc", r"\d{2}[0156]\d[0-2]\d\d{4}", "="),
    "de_tax_id": ("de.idnr", r"[1-9]\d{10}", "="),
    "dk_cpr": ("dk.cpr", r"[0-3]\d[01]\d\d{6}", ">"),
    "ee_isikukood": ("ee.ik", r"[1-8]\d{2}[01]\d[0-2]\d\d{4}", "="),
    "es_dni": ("es.dni", r"\d{8}[A-Z]", "="),
    "es_nie": ("es.nie", r"[XYZ]\d{7}[A-Z]", "="),
    "fi_hetu": ("fi.hetu", r"[0-2]\d[01]\d\d{2}[-+A]\d{3}[0-9A-Y]", ">"),
    "fr_nir": ("fr.nir", r"[12]\d{2}(?:0[1-9]|1[0-2])(?:\d{2}|2A|2B)\d{3}\d{3}\d{2}", "="),
    "gr_amka": ("gr.amka", r"[0-2]\d[01]\d\d{7}", "="),
    "hr_oib": ("hr.oib", r"\d{11}", "="),
    "ie_pps": ("ie.pps", r"\d{7}[A-W][AHWTX]?", "="),
    "is_kennitala": ("is_.kennitala", r"[0-3]\d[01]\d\d{5}[09]", "="),
    "it_codice_fiscale": ("it.codicefiscale", r"[A-Z]{6}\d{2}[ABCDEHLMPRST][0-6]\d[A-Z]\d{3}[A-Z]", "="),
    "lv_personal": ("lv.pvn", r"(?:32|[0-2]\d)[01]\d\d{7}", "="),
    "nl_bsn": ("nl.bsn", r"\d{9}", "="),
    "no_fodselsnummer": ("no.fodselsnummer", r"[0-2]\d[01]\d\d{7}", ">"),
    "pl_pesel": ("pl.pesel", r"\d{2}[0-3]\d[0-2]\d\d{5}", "="),
    "pt_nif": ("pt.nif", r"\d{9}", "="),
    "ro_cnp": ("ro.cnp", r"[1-8]\d{2}[01]\d[0-2]\d[0-4]\d\d{4}", ">"),
    "se_personnummer": ("se.personnummer", r"\d{2}[01]\d[0-2]\d\d{4}", "="),
    "si_emso": ("si.emso", r"[0-3]\d[01]\d[09]\d{8}", "="),
    "uk_nhs": ("gb.nhs", r"\d{10}", "="),
    "uk_utr": ("gb.utr", r"\d{10}", "="),
    "us_ein": ("us.ein", r"\d{9}", "="),
    "us_itin": ("us.itin", r"9\d{8}", ">"),
    "us_routing": ("us.rtn", r"\d{9}", "<"),
}
VAT = {
    "AT": r"U\d{8}", "BE": r"[01]\d{9}", "BG": r"\d{9,10}", "CY": r"[0-59]\d{7}[A-Z]", "CZ": r"\d{8}", "DE": r"[1-9]\d{8}",
    "DK": r"[1-9]\d{7}", "EE": r"\d{9}", "EL": r"\d{9}", "ES": r"[A-Z0-9]\d{7}[A-Z0-9]", "FI": r"\d{8}",
    "FR": r"[A-HJ-NP-Z0-9]{2}\d{9}", "HR": r"\d{11}", "HU": r"\d{8}", "IE": r"\d[A-Z0-9]\d{5}[A-W][A-I]?", "IT": r"\d{11}",
    "LT": r"\d{9}|\d{12}", "LU": r"\d{8}", "LV": r"\d{11}", "MT": r"\d{8}", "NL": r"\d{9}B\d{2}", "PL": r"\d{10}",
    "PT": r"\d{9}", "RO": r"[1-9]\d{1,9}", "SE": r"\d{10}01", "SI": r"\d{8}", "SK": r"\d{10}",
}  # fmt: skip
LAX = {"CY", "ES", "MT", "NL"}  # series that are not given out
MANY = 4000


def oracle(module: str) -> Any:
    pytest.importorskip("stdnum", reason="python-stdnum is in the development environment only")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"stdnum.{module}")


@pytest.mark.parametrize("name", SAME)
def test_numbers_are_those_of_stdnum(name: str) -> None:
    module, form, may_differ = SAME[name]
    there = oracle(module)
    chance = random.Random(name)
    ours = theirs = 0
    for _ in range(MANY):
        number = from_regex(form, chance).decode()
        mine, other = NUMBERS[name](number), there.is_valid(number)
        ours, theirs = ours + mine, theirs + other
        assert mine == other or (mine and may_differ == ">") or (other and may_differ == "<"), number
    assert ours, "nothing that was made is a number of that kind"
    assert theirs


@pytest.mark.parametrize("country", VAT)
def test_vat_numbers_are_those_of_stdnum(country: str) -> None:
    there = oracle("eu.vat")
    chance = random.Random(country)
    ours = 0
    for _ in range(MANY):
        number = country + from_regex(VAT[country], chance).decode()
        mine, other = is_vat(number), there.is_valid(number)
        ours += mine
        assert mine == other or (mine and country in LAX), number
    assert ours


@pytest.mark.parametrize(
    ("name", "valid", "invalid"),
    [
        ("us_npi", "1234567893", "1234567890"),  # CMS, NPI check digit
        ("us_dea", "AB1234563", "AB1234564"),
        ("uk_nino", "AB123456C", "GB123456C"),  # HMRC, NIM39110
        ("uk_driver", "MORGA657054SM9IJ", "MORGA663054SM9IJ"),  # DVLA
        ("de_pension", "15070649C103", "15070649C104"),  # VKVV
        ("hu_taj", "123456788", "123456789"),
        ("icao", "L898902C36", "L898902C35"),  # ICAO 9303-3, appendix A
        ("vat", "DE136695976", "DE136695977"),
    ],
)
def test_published_examples(name: str, valid: str, invalid: str) -> None:
    check = VALIDATORS[name]
    assert check(b" " + valid.encode(), 1, 1 + len(valid)) == 1 + len(valid)
    assert check(invalid.encode(), 0, len(invalid)) == 0


def test_every_number_is_checked_somewhere() -> None:
    elsewhere = {"us_npi", "us_dea", "uk_nino", "uk_driver", "de_pension", "hu_taj", "icao"}
    assert set(NUMBERS) == set(SAME) | elsewhere


@pytest.mark.parametrize("country", ["DE", "GB", "NO", "MT", "BI", "VA"])
def test_an_iban_has_the_length_of_its_country(country: str) -> None:
    length = {"DE": 22, "GB": 22, "NO": 15, "MT": 31, "BI": 27, "VA": 22}[country]
    body = "1" * (length - 4)
    digits = "".join(str(int(char, 36)) for char in body + country + "00")
    number = f"{country}{98 - int(digits) % 97:02d}{body}".encode()
    assert VALIDATORS["iban"](number, 0, len(number)) == length
    assert VALIDATORS["iban"](number[:-1], 0, length - 1) == 0
