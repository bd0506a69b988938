# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Generate what follows from the registry: constants, reference pages, the schema file.

    python -m runrecord.semconv.generate            write what changed
    python -m runrecord.semconv.generate --check    write nothing; exit 1 with a diff if anything would change

The reference pages lie in ``docs/conventions`` of the source tree; an installed package has none, and there the command
says so. The registry is checked first; nothing is written from one that breaks a rule.
"""

import difflib
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from runrecord.semconv._markdown import GENERATED_MARK, pages
from runrecord.semconv._python import attributes_module, metrics_module, signals_module
from runrecord.semconv._schema import schema_file
from runrecord.semconv.bridges import load_bridges
from runrecord.semconv.checks import check_registry
from runrecord.semconv.errors import RegistryError
from runrecord.semconv.registry import Registry, load_registry

__all__ = ["generated_files", "main"]

_PACKAGE = Path("semconv", "runrecord", "semconv")
_PAGES = Path("docs", "conventions")
_ROOT = Path(__file__).parents[3]


def generated_files(registry: Registry) -> dict[Path, str]:
    """Say what each generated file must hold; paths are relative to the root of the source tree."""
    files = {
        _PACKAGE / "attributes.py": attributes_module(registry),
        _PACKAGE / "signals.py": signals_module(registry),
        _PACKAGE / "metrics.py": metrics_module(registry),
        _PACKAGE / "schemas" / f"{registry.version}.yaml": schema_file(registry),
    }
    for name, text in pages(registry, load_bridges(registry)).items():
        files[_PAGES / name] = text
    return files


def main(arguments: Sequence[str] | None = None, root: Path = _ROOT) -> int:
    """Run the generator.

    Returns:
        The exit code: 0 nothing to do, or written; 1 the registry is wrong, or ``--check`` found a difference; 4 usage.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if unknown := [argument for argument in arguments if argument != "--check"]:
        sys.stderr.write(f"generate: unknown argument {unknown[0]}; the only one is --check\n")
        return 4
    if not (root / _PACKAGE).is_dir():
        sys.stderr.write(
            f"generate: {root} is no source tree of Runrecord; run it from an editable install\n"
        )
        return 1
    try:
        registry = load_registry()
        check_registry(registry)
        wanted: dict[Path, str | None] = {**generated_files(registry)}
    except RegistryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    wanted |= dict.fromkeys(_stale_pages(root, wanted.keys()))
    changed = False
    for path, text in wanted.items():
        target = root / path
        found = target.read_text(encoding="utf-8") if target.exists() else ""
        if text is not None and target.exists() and found == text:
            continue
        changed = True
        if "--check" in arguments:
            lines = (found.splitlines(keepends=True), (text or "").splitlines(keepends=True))
            sys.stdout.writelines(difflib.unified_diff(*lines, f"found/{path}", f"wanted/{path}"))
        elif text is None:
            target.unlink()
            sys.stdout.write(f"removed {path}\n")
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {path}\n")
    return 1 if changed and "--check" in arguments else 0


def _stale_pages(root: Path, wanted: Collection[Path]) -> list[Path]:
    """Find pages that an earlier registry gave and this one does not."""
    found = [
        path.relative_to(root)
        for path in sorted((root / _PAGES).glob("*.md"))
        if path.read_text(encoding="utf-8").startswith(GENERATED_MARK)
    ]
    return [path for path in found if path not in wanted]


if __name__ == "__main__":
    sys.exit(main())
