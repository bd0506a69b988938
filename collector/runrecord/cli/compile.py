# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord compile`: the gateway's configuration for those who can't add a hop, and what is lost by that."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from runrecord.cli.console import errors, fail

_USAGE = 4


class Target(str, Enum):
    """What can be compiled to."""

    OTELCOL = "otelcol-contrib"


def compile(  # noqa: A001 - the name of the command
    config: Annotated[
        Path | None,
        typer.Argument(metavar="[CONFIG]", help="The gateway's configuration; its defaults without one"),
    ] = None,
    target: Annotated[Target, typer.Option(help="What to compile to")] = Target.OTELCOL,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it there; to standard output without")
    ] = None,
) -> None:
    """Write the redaction policy and the pipelines as the configuration of a stock OpenTelemetry Collector.

    What a collector can't do is listed at the top of the file, and on standard error: read it before you rely on the result. The
    gateway redacts more, and it alone seals and never loses what it acknowledged.

    [dim]$ runrecord compile runrecord.yaml --target otelcol-contrib -o otelcol.yaml && otelcol-contrib validate --config otelcol.yaml[/]
    """
    del target  # there is one so far
    try:
        import yaml

        from runrecord.collector import ConfigError, GatewayConfig, load_config
        from runrecord.collector.compiler import compile_otelcol
        from runrecord.processors.redaction import Redactor
    except ModuleNotFoundError as error:
        fail(
            f"compiling needs {error.name}, which is not installed.",
            'pip install "runrecord[gateway]"',
            code=_USAGE,
        )
    raw: dict[str, Any] = {}
    try:
        settings = GatewayConfig() if config is None else load_config(config)
        if config is not None:
            raw = yaml.safe_load(config.read_text()) or {}
    except ConfigError as error:
        fail(str(error), error.next_step, code=_USAGE)
    policy = settings.processors.redaction
    own = {name: setting.action for name, setting in policy.rules.items()}
    rules = [(rule, own.get(rule.id) or rule.action) for rule in Redactor(policy, key=bytes(32)).rules]
    compiled = compile_otelcol(settings, raw, rules, source=config.name if config else "the defaults")
    if not compiled.config["service"]["pipelines"]:
        fail(
            "no pipeline ends in a back end, so there is nothing for a collector to do.",
            "add an exporter such as otlp_http/main to the pipelines of the configuration",
            code=_USAGE,
        )
    text = compiled.to_yaml()
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text)
    for line in compiled.report.lines():
        errors.print(line, markup=False, highlight=False, soft_wrap=True)
