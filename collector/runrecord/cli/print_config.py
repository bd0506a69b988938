# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord print-config`: what the gateway would run, with every default filled in and every secret hidden."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from runrecord.cli.console import console, fail


def print_config(
    file: Annotated[
        Path | None,
        typer.Argument(help="The configuration file; without one, the built-in default.", show_default=False),
    ] = None,
) -> None:
    """Print the configuration that the gateway would run: defaults filled in, variables replaced, headers hidden.

    [dim]$ runrecord print-config > runrecord.yaml[/]
    """
    try:
        import yaml

        from runrecord.cli.gateway import effective_config
        from runrecord.collector import ConfigError
    except ModuleNotFoundError as error:
        fail(
            f"print-config needs {error.name}, which is not installed.",
            'pip install "runrecord[gateway]"',
            code=4,
        )
    try:
        config = effective_config(file)
    except ConfigError as error:
        fail(str(error), error.next_step, code=1)
    shown: dict[str, Any] = json.loads(config.model_dump_json(exclude_none=True))
    for section in (*shown["exporters"].values(), *shown["extensions"].values()):
        section.pop("kind", None)
    console.print(yaml.safe_dump(shown, sort_keys=False, width=100), markup=False, soft_wrap=True, end="")
