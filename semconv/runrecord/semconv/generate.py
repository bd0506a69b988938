# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Generate what follows from a registry: constants, reference pages, JSON Schemas, the schema file.

    python -m runrecord.semconv.generate            write what changed
    python -m runrecord.semconv.generate --check    write nothing; exit 1 with a diff if anything would change

This is for our own registry and for the example of one on top of it, whose files lie in the source tree; an installed package
has none, and there the command says so. ``runrecord generate`` does the same for the registry of a team. A registry is checked first; nothing is written from
one that breaks a rule.
"""

import difflib
import json
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from runrecord.semconv._markdown import pages
from runrecord.semconv._markdown_index import bridges_page, index_page
from runrecord.semconv._model import Metric, Registry, Signal
from runrecord.semconv._python import attributes_module, init_module, metrics_module, signals_module
from runrecord.semconv._schema import schema_file
from runrecord.semconv._target import Target, own_target, stem, team_target
from runrecord.semconv.bridges import load_bridges, previews_module
from runrecord.semconv.checks import check_registry
from runrecord.semconv.errors import RegistryError
from runrecord.semconv.json_schema import json_schema
from runrecord.semconv.registry import load_registry, read_registry

__all__ = ["bring_up_to_date", "generated_files", "main"]

_ROOT = Path(__file__).parents[3]
_EXAMPLE = Path("examples", "extending")
_GENERATED = re.compile(r"Generated from (the registry|registry/).*Do not edit\.")


def generated_files(registry: Registry, target: Target | None = None) -> dict[Path, str]:
    """Say what each generated file must hold.

    Args:
        registry: what to generate from.
        target: where the files go; by default the layout for the registry of a team, below a directory of its choice.

    Raises:
        RegistryError: the registry breaks a rule of the conventions.
    """
    check_registry(registry)
    target = target or team_target(registry)
    known = registry.attributes.values() if target.ours else registry.own_attributes
    files = {
        target.package / "attributes.py": attributes_module(known, target.header),
        target.package / "signals.py": signals_module(registry, target.header),
        target.package / "metrics.py": metrics_module(registry, target.header),
        target.package / "schemas" / f"{registry.version}.yaml": schema_file(
            registry, target.header, target.first_version
        ),
    }
    if not target.ours:
        files[target.package / "__init__.py"] = init_module(registry, target.header)
    items: list[Signal | Metric] = [*registry.own_signals, *registry.own_metrics]
    for item in items:
        schema = json_schema(registry, item)
        files[target.schemas / f"{stem(item)}.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    written = {"README.md": index_page(registry, target), **pages(registry, target)}
    if target.ours:
        bridges = load_bridges(registry)
        written["bridges.md"] = bridges_page(bridges)
        files[target.package / "previews.py"] = previews_module(bridges, target.header)
    for name, text in written.items():
        files[target.pages / name] = f"{target.mark}\n\n{text}"
    return {path: text for path, text in files.items() if text}


def bring_up_to_date(root: Path, files: Mapping[Path, str], *, check: bool = False) -> list[str]:
    """Write the files that changed below ``root``, and remove generated ones that are no longer wanted.

    Args:
        root: the directory that the paths are relative to.
        files: what each file must hold.
        check: write and remove nothing.

    Returns:
        One line for each change, or with ``check`` the lines of a diff; empty if there is nothing to do.
    """
    said: list[str] = []
    wanted: dict[Path, str | None] = {**files, **dict.fromkeys(_stale(root, files.keys()))}
    for path, text in wanted.items():
        place = root / path
        found = place.read_text(encoding="utf-8") if place.exists() else ""
        if text is not None and place.exists() and found == text:
            continue
        if check:
            lines = (found.splitlines(keepends=True), (text or "").splitlines(keepends=True))
            said += difflib.unified_diff(*lines, f"found/{path.as_posix()}", f"wanted/{path.as_posix()}")
        elif text is None:
            place.unlink()
            said.append(f"removed {path.as_posix()}\n")
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
            said.append(f"wrote {path.as_posix()}\n")
    return said


def main(arguments: Sequence[str] | None = None, root: Path = _ROOT) -> int:
    """Run the generator for our own registry.

    Returns:
        The exit code: 0 nothing to do, or written; 1 the registry is wrong, or ``--check`` found a difference; 4 usage.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if unknown := [argument for argument in arguments if argument != "--check"]:
        sys.stderr.write(f"generate: unknown argument {unknown[0]}; the only one is --check\n")
        return 4
    target = own_target()
    if not (root / target.package).is_dir():
        sys.stderr.write(
            f"generate: {root} is no source tree of Runrecord; run it from an editable install\n"
        )
        return 1
    try:
        files = generated_files(load_registry(), target)
        # What the example gives depends on what it inherits from ours.
        if (root / _EXAMPLE / "registry").is_dir():
            example = generated_files(read_registry(root / _EXAMPLE / "registry"))
            files |= {_EXAMPLE / "acme_conventions" / path: text for path, text in example.items()}
    except RegistryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    said = bring_up_to_date(root, files, check="--check" in arguments)
    sys.stdout.writelines(said)
    return 1 if said and "--check" in arguments else 0


def _stale(root: Path, wanted: Collection[Path]) -> Iterator[Path]:
    """Find files that an earlier registry gave and this one does not; a schema file stays, as its version does."""
    for directory in sorted({path.parent for path in wanted}):
        for place in sorted((root / directory).glob("*")):
            path = directory / place.name
            if path not in wanted and path.suffix in (".md", ".py", ".json") and _is_generated(place):
                yield path


def _is_generated(place: Path) -> bool:
    if place.suffix == ".json":
        return place.parent.name == "json_schemas"
    top = place.read_text(encoding="utf-8").splitlines()[:40]
    return any(_GENERATED.search(line) for line in top)


if __name__ == "__main__":
    sys.exit(main())
