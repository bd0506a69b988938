# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Fuzz the redactor with any bytes, guided by coverage: ``nox -s fuzz`` (a short run that is always the same over the kept seeds).

Longer, with what it finds kept in a directory of its own: ``nox -s fuzz -- -max_total_time=600 -runs=-1 /tmp/found``. What is
worth keeping goes to ``seeds/``, which ``test_fuzz.py`` runs, too, without the fuzzer.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found]

SEEDS = Path(__file__).with_name("seeds")
OPTIONS = {
    "-runs": "5000",
    "-seed": "1",
    "-max_len": "4096",
    "-rss_limit_mb": "2048",
    "-print_final_stats": "1",
}


def main() -> None:
    """Run the fuzzer over the kept seeds; its own options follow on the command line."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "plugins"))
    with atheris.instrument_imports(include=["runrecord.processors.redaction"]):
        from redaction_fuzz import check
    arguments = sys.argv[1:]
    options = OPTIONS | dict(argument.split("=", 1) for argument in arguments if argument.startswith("-"))
    directories = [argument for argument in arguments if not argument.startswith("-")]
    if not directories:  # without one of its own the fuzzer would add what it finds to the seeds
        directories = [tempfile.mkdtemp(prefix="runrecord-fuzz-")]
    settings = [f"{name}={value}" for name, value in options.items()]
    atheris.Setup([sys.argv[0], *settings, *directories, str(SEEDS)], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
