# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord validate`: everything that is wrong in a configuration file, with the place and the nearest valid key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runrecord.cli.console import console, errors, fail


def validate(
    file: Annotated[Path, typer.Argument(help="The configuration file of the gateway.", show_default=False)],
) -> None:
    """Check a configuration file of the gateway.

    Prints every problem as FILE:LINE:COLUMN: KEY: what is wrong, and the nearest valid key. Exit code 1 if there is any.

    [dim]$ runrecord validate runrecord.yaml[/]
    """
    try:
        from runrecord.collector import ConfigError, load_config
    except ModuleNotFoundError as error:
        fail(
            f"validate needs {error.name}, which is not installed.",
            'pip install "runrecord[gateway]"',
            code=4,
        )
    try:
        config = load_config(file)
    except ConfigError as error:
        for problem in error.problems:
            errors.print(problem.render(error.path), style="red", markup=False, soft_wrap=True)
        number = len(error.problems)
        errors.print(f"{number} problem{'s' if number > 1 else ''}", markup=False)
        raise typer.Exit(1) from None
    console.print(f"{file}: valid", markup=False, soft_wrap=True)
    for signal, pipeline in config.service.pipelines.items():
        way = " -> ".join((", ".join(pipeline.receivers), *pipeline.processors, pipeline.way_out()))
        console.print(f"  {signal.value:<8} {way}", markup=False, soft_wrap=True)
