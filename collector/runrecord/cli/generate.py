# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord generate`: constants, reference pages and JSON Schemas from a team's own registry on top of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runrecord.cli.console import console, errors, fail


def generate(
    registry: Annotated[
        Path,
        typer.Option(
            help="The directory of your registry: a manifest.yaml and files in the format definition/2.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option(help="The directory that the generated files go to.", show_default=False)
    ],
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; print a diff and exit with 1 if anything would change."),
    ] = False,
) -> None:
    """Generate constants, pages and JSON Schemas from your own conventions.

    A registry of your own adds attributes, signals and metrics to those of Runrecord, or refines them.

    Its manifest.yaml names what it builds on by schema URL; nothing is fetched.

    The output is a Python package, a page for each signal under docs, JSON Schemas and a schema file.

    Prints what is wrong with the registry as FILE:LINE: KEY: what is wrong, and writes nothing then.

    [dim]$ runrecord generate --registry conventions/ --output src/acme/conventions[/]
    """
    from runrecord.semconv import RegistryError
    from runrecord.semconv.generate import bring_up_to_date, generated_files
    from runrecord.semconv.registry import read_registry

    if not registry.is_dir():
        fail(f"{registry} is no directory.", "Name the directory that holds manifest.yaml.", code=4)
    if output.resolve().is_relative_to(registry.resolve()):
        fail(
            f"{output} lies in the registry, whose every YAML file is read as a part of it.",
            "Name an output directory elsewhere.",
            code=4,
        )
    try:
        read = read_registry(registry)
        files = generated_files(read)
    except RegistryError as error:
        for problem in error.problems:
            errors.print(problem, style="red", markup=False, soft_wrap=True)
        errors.print(f"{_count(len(error.problems), 'problem')}; nothing was written", markup=False)
        raise typer.Exit(1) from None
    said = bring_up_to_date(output, files, check=check)
    console.print("".join(said), end="", markup=False, soft_wrap=True)
    if check and said:
        fail(f"{output} is not up to date.", "Run the same command without --check.")
    own = [(read.own_attributes, "attribute"), (read.own_signals, "signal"), (read.own_metrics, "metric")]
    numbers = ", ".join(_count(len(items), what) for items, what in own)
    console.print(
        f"{read.schema_url}: {numbers}; {_count(len(files), 'file')} up to date", markup=False, soft_wrap=True
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
