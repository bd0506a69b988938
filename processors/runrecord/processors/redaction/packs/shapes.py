# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Pieces that the rules share: quotes and slashes at any depth of JSON, separators, and placeholder secrets."""

from __future__ import annotations

from typing import Final

QUOTE: Final = r"""(?:\\{0,7}["'`]|\\{1,7}u002[27])"""
SLASH: Final = r"(?:\\{0,7}/)"
BLANKS: Final = r"[ \t\r\n]{0,8}"
ASSIGN: Final = rf"{QUOTE}?{BLANKS}(?:=>|:=|=|:){BLANKS}"
"""From the end of a name to the beginning of its value, without the value's quote."""
ASSIGN_SEED: Final = r"""[\\"'`u027 \t\r\n]{0,20}[:=]"""
END: Final = "(?![0-9A-Za-z_])"
NUMBER_END: Final = r"(?![0-9A-Za-z_]|[.-][0-9])"


def fake(prefix: str, length: int, alphabet: str = "Xq7") -> str:
    """A placeholder in the shape of a secret: a prefix and a plain repetition, so that it cannot be a real one."""
    return prefix + (alphabet * length)[:length]
