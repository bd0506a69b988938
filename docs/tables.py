# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Write the tables of the hand-written pages that come from code; ``--check`` only says whether they are up to date."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from runrecord.instrumentation.capabilities import markdown

PAGE = Path(__file__).resolve().parent / "instrumentation.md"
_PLACE = re.compile(r"(<!-- capabilities: [^>]*-->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Bring the page up to date, or exit with 1 if it is not and ``--check`` is given."""
    text = PAGE.read_text()
    wanted = _PLACE.sub(lambda found: f"{found[1]}{markdown()}{found[2]}", text)
    if "--check" in sys.argv[1:]:
        sys.exit("docs/instrumentation.md is not up to date; run: make generate" if wanted != text else 0)
    PAGE.write_text(wanted)


if __name__ == "__main__":
    main()
