# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Short forms in rule files: pieces of regexes, and placeholder secrets that are written down without looking like one."""

from __future__ import annotations

import re
from typing import Final

_QUOTE: Final = r"""(?:\\{0,7}["'`]|\\{1,7}u002[27])"""
_BLANKS: Final = r"[ \t\r\n]{0,8}"

PIECES: Final[dict[str, str]] = {
    "quote": _QUOTE,
    # From the end of a name to the beginning of its value, without the value's quote.
    "assign": rf"{_QUOTE}?{_BLANKS}(?:=>|:=|=|:){_BLANKS}",
    "assign_seed": r"""[\\"'`u027 \t\r\n]{0,20}[:=]""",
    "slash": r"(?:\\{0,7}/)",
    "slash_seed": r"[\\/]{1,8}",
    "end": "(?![0-9A-Za-z_])",
    "tail": "(?![0-9A-Za-z_-])",
    "number_end": r"(?![0-9A-Za-z_]|[.-][0-9])",
    # Before a word that says what follows: no letter, or an escape that ends in one.
    "apart": r"(?:(?<![A-Za-z])|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4}))",
    # Between that word and the number that it is about.
    "near": r"[^0-9\x00-\x08]{0,40}?(?:\\u[0-9A-Fa-f]{4}[^0-9\x00-\x08]{0,16}?){0,3}",
    "uuid": "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
}
"""What ``{name}`` in ``seed`` and ``exact`` stands for. No regex has a quantifier of this form."""

ALPHABETS: Final[dict[str, str]] = {
    "b62": "X7qL2mT9zR4wK8vB3nH6yD1sG5pJ0cFaVeWgYhZjQkMbNrPtSuUxCdEfAiIlOo",
    "b64": "X7qL2mT9/zR4wK8vB3nH6+yD1sG5pJ0cFaVeWgYhZjQkMbNrPtSuUxCdEfAiIlOo",
    "url": "X7qL2mT9-zR4wK8vB3nH6_yD1sG5pJ0cFaVeWgYhZjQkMbNrPtSuUxCdEfAiIlOo",
    "low": "x7q2mt9zr4wk8vb3nh6yd1sg5pj0cfaeuilo",
    "UP": "X7Q2MT9ZR4WK8VB3NH6YD1SG5PJ0CFAEUILO",
    "hex": "7a1f3c9e0b5d2846",
    "HEX": "7A1F3C9E0B5D2846",
    "b32": "x7q2mt5zr4wk6vb3nhydsgpjcfaeuilo",
    "B32": "X7Q2MT5ZR4WK6VB3NHYDSGPJCFAEUILO",
    "age": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",  # of bech32
    "num": "7294618350",
    "abc": "xqmtzrwkvbnhydsgpjcfaeuilo",
    "ABC": "XQMTZRWKVBNHYDSGPJCFAEUILO",
}

_PIECE = re.compile(r"\{([a-z_]+)\}")
_FAKE = re.compile(r"\{(" + "|".join(ALPHABETS) + r")\*([0-9]{1,3})\}")


def regex(text: str) -> str:
    """A regex of a rule file with its pieces filled in.

    Raises:
        KeyError: There is no piece of that name.
    """
    return _PIECE.sub(lambda piece: PIECES[piece[1]], text)


def example(text: str) -> str:
    """An example of a rule file with its placeholders filled in: ``ghp_{b62*36}`` has 36 letters and digits behind it."""
    return _FAKE.sub(lambda fake: fill(fake[1], int(fake[2])), text)


def fill(alphabet: str, length: int) -> str:
    """A text over an alphabet: the same every time, so that it cannot be anyone's secret."""
    letters = ALPHABETS[alphabet]
    return (letters * (length // len(letters) + 1))[:length]
