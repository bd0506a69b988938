# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Check digits in general: Luhn, weighted sums, ISO 7064, and dates inside numbers."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence


def luhn(digits: str) -> bool:
    """The Luhn check (ISO/IEC 7812-1, annex B)."""
    doubled = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
    total = sum(
        doubled[int(digit)] if index & 1 else int(digit) for index, digit in enumerate(reversed(digits))
    )
    return total % 10 == 0


def weighted(digits: str, weights: Sequence[int]) -> int:
    """The sum of the digits times their weights; what has no weight does not count."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def mod_11_10(digits: str) -> bool:
    """ISO/IEC 7064 MOD 11,10, the check digit last."""
    product = 10
    for digit in digits[:-1]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (product + int(digits[-1])) % 10 == 1


def mod_97(text: str) -> bool:
    """ISO/IEC 7064 MOD 97-10 over digits and capital letters, the check digits last."""
    return int("".join(str(int(char, 36)) for char in text)) % 97 == 1


def is_date(year: int, month: int, day: int) -> bool:
    """Whether there is such a day; the year in full."""
    return 1 <= month <= 12 and year >= 1 and 1 <= day <= monthrange(year, month)[1]  # noqa: PLR2004


def any_century(year: int, month: int, day: int) -> bool:
    """Whether there is such a day in this century or the last."""
    return is_date(1900 + year, month, day) or is_date(2000 + year, month, day)


def short_date(digits: str) -> bool:
    """Whether six digits are a year, month and day."""
    return any_century(int(digits[:2]), int(digits[2:4]), int(digits[4:6]))


def backward_date(digits: str) -> bool:
    """Whether six digits are a day, month and year."""
    return any_century(int(digits[4:6]), int(digits[2:4]), int(digits[:2]))


def one_value(digits: str) -> bool:
    """Whether all digits are the same, which no authority gives out."""
    return len(set(digits)) <= 1
