# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Generate what follows from the registry: constants, reference pages, the schema file.

    python -m runrecord.semconv.generate            write what changed
    python -m runrecord.semconv.generate --check    write nothing; exit 1 with a diff if anything would change

The reference pages lie in ``docs/conventions`` of the source tree; an installed package has none, and there the command
says so.
"""

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from runrecord.semconv._python import attributes_module, signals_module
from runrecord.semconv.registry import Registry, load_registry

__all__ = ["generated_files", "main"]

_PACKAGE = Path(__file__).parent
_ROOT = _PACKAGE.parents[2]


def generated_files(registry: Registry) -> dict[Path, str]:
    """Say what each generated file must hold."""
    return {
        _PACKAGE / "attributes.py": attributes_module(registry),
        _PACKAGE / "signals.py": signals_module(registry),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the generator and return its exit code: 0 nothing to do or written, 1 ``--check`` found a difference."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if unknown := [argument for argument in arguments if argument != "--check"]:
        sys.stderr.write(f"generate: unknown argument {unknown[0]}; the only one is --check\n")
        return 4
    check = "--check" in arguments
    changed = 0
    for path, wanted in generated_files(load_registry()).items():
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        if found == wanted:
            continue
        changed += 1
        name = path.relative_to(_ROOT).as_posix()
        if check:
            sys.stdout.writelines(
                difflib.unified_diff(
                    found.splitlines(True), wanted.splitlines(True), f"found/{name}", f"wanted/{name}"
                )
            )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted, encoding="utf-8")
            sys.stdout.write(f"wrote {name}\n")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
