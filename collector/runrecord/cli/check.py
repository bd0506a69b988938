# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord check`: hold stored or live OTLP against the conventions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from runrecord.cli.console import errors, fail

if TYPE_CHECKING:
    from runrecord.cli.checking.report import Report
    from runrecord.semconv.conformance import Checker
    from runrecord.semconv.registry import Registry

_USAGE: Final = 4
_STREAM: Final = Path("-")


class Format(str, Enum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


class FailOn(str, Enum):
    """The mildest finding with which the check fails."""

    VIOLATION = "violation"
    IMPROVEMENT = "improvement"
    INFORMATION = "information"
    NONE = "none"


def check(  # noqa: PLR0917 - typer passes them by name
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files or directories of OTLP: JSON lines, JSON documents, protobuf, intake logs; also .gz and .zst. - is the standard input.",
            show_default=False,
        ),
    ] = None,
    listen: Annotated[
        bool, typer.Option("--listen", help="Be an OTLP endpoint on this machine, and check what arrives.")
    ] = False,
    grpc_port: Annotated[int, typer.Option(help="With --listen; 0 takes any free port.", min=0)] = 4317,
    http_port: Annotated[int, typer.Option(help="With --listen; 0 takes any free port.", min=0)] = 4318,
    seconds: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="With --listen: stop after 30s, 5m ...")
    ] = None,
    count: Annotated[
        int | None, typer.Option(help="With --listen: stop after so many records.", min=1)
    ] = None,
    registry: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A registry of yours that extends Runrecord's.", show_default=False),
    ] = None,
    rule: Annotated[
        list[str] | None, typer.Option(help="Judge this rule only; can be repeated.", show_default=False)
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="Do not judge this rule; can be repeated.", show_default=False)
    ] = None,
    payload_free: Annotated[
        bool, typer.Option("--payload-free", help="Content is a violation wherever it is.")
    ] = False,
    partial: Annotated[
        bool | None,
        typer.Option(
            "--partial/--whole",
            help="The input is a part of what was recorded: what is missing in it is information. Default with --listen.",
            show_default=False,
        ),
    ] = None,
    fail_on: Annotated[
        FailOn, typer.Option(help="Exit with 1 if there is such a finding or a worse one.")
    ] = FailOn.VIOLATION,
    form: Annotated[Format, typer.Option("--format", help="How findings are written.")] = Format.TEXT,
    max_findings: Annotated[int, typer.Option(help="Write at most so many; all are counted.", min=1)] = 1000,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write there, and a summary here.", show_default=False
        ),
    ] = None,
) -> None:
    """Check telemetry against the conventions: Runrecord's, yours, and the official ones for GenAI.

    Exit code 0 conforms, 1 findings (see --fail-on), 4 wrong command line or unreadable input. The rules are in docs/check.md.

    [dim]$ runrecord check traces.jsonl
    $ runrecord check telemetry/ --format sarif -o check.sarif
    $ runrecord check --listen --for 30s[/]
    """
    try:
        from runrecord.cli.checking.report import Report
        from runrecord.collector import GatewayError
    except ModuleNotFoundError as error:
        fail(
            f"the check needs {error.name}, which is not installed.",
            'pip install "runrecord[gateway]"',
            code=_USAGE,
        )
    from runrecord.semconv.conformance import Checker

    if bool(inputs) is listen:
        fail(
            "there must be either inputs or --listen.",
            "name files or directories, or - for stdin",
            code=_USAGE,
        )
    _known_rules([*(rule or ()), *(ignore or ())])
    report = Report(rule or (), ignore or (), max_findings)
    checker = Checker(
        _registry(registry), payload_free=payload_free, partial=listen if partial is None else partial
    )
    with contextlib.closing(checker):
        if listen:
            try:
                _listen(
                    checker,
                    report,
                    ports=(grpc_port, http_port),
                    seconds=_seconds(seconds),
                    count=count,
                    live=form is Format.TEXT,
                )
            except GatewayError as error:
                fail(f"{error}.", error.next_step or None, code=_USAGE)
        else:
            _read(checker, report, inputs or [])
        for finding in checker.finish():
            report.add(finding)
    report.records, report.governed = checker.records, checker.governed
    if not report.records:
        fail(
            "there was no span, log record or metric in the input.",
            "check that the exporter is switched on and flushed",
            code=_USAGE,
        )
    _write(report, form, output)
    level = None if fail_on is FailOn.NONE else _severity(fail_on.value)
    raise typer.Exit(1 if report.fails(level) else 0)


def _severity(value: str) -> Any:
    from runrecord.semconv.conformance import Severity

    return Severity(value)


def _known_rules(named: list[str]) -> None:
    from difflib import get_close_matches

    from runrecord.semconv.conformance import RULES

    for name in named:
        if name not in RULES:
            close = get_close_matches(name, RULES, 1)
            hint = f"did you mean {close[0]}?" if close else "the rules are in docs/check.md"
            fail(f"there is no rule {name}.", hint, code=_USAGE)


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    try:
        value = float(number) * unit
    except ValueError:
        value = -1.0
    if not 0 < value < 1e9:  # noqa: PLR2004 - also refuses what is no number
        fail(f"--for {text} is no length of time.", "write it as 30s, 5m or 1h", code=_USAGE)
    return value


def _registry(directory: Path | None) -> Registry:
    from runrecord.semconv import RegistryError
    from runrecord.semconv.registry import load_registry, read_registry

    try:
        return load_registry() if directory is None else read_registry(directory)
    except RegistryError as error:
        fail(str(error), "correct the registry; runrecord generate checks it", code=_USAGE)
    except OSError as error:
        fail(
            f"{directory} can't be read: {error.strerror}.",
            "name the directory of manifest.yaml",
            code=_USAGE,
        )


def _read(checker: Checker, report: Report, inputs: list[Path]) -> None:
    from runrecord.cli.checking.inputs import InputError, files_of, read, size_of
    from runrecord.semconv.conformance import records_of

    try:
        files = [file for path in inputs for file in ([path] if path == _STREAM else files_of(path))]
        with _progress(sum(map(size_of, files))) as advance:
            for file in files:
                report.files += 1
                for request in read(file, advance):
                    for record in records_of(request.message, request.place):
                        for finding in checker.add(record):
                            report.add(finding)
    except InputError as error:
        fail(str(error), error.next_step, code=_USAGE)


def _listen(
    checker: Checker,
    report: Report,
    *,
    ports: tuple[int, int],
    seconds: float | None,
    count: int | None,
    live: bool,
) -> None:
    import asyncio

    from runrecord.cli.checking.listen import Bound, listen
    from runrecord.semconv.conformance import Place, records_of

    told: set[tuple[str, str, str]] = set()

    def take(message: Any, source: str) -> int:
        for record in records_of(message, Place(source)):
            for finding in checker.add(record):
                kind = (finding.rule, finding.signal, finding.attribute)
                if report.add(finding) and live and kind not in told and len(told) < _MOST_KINDS:
                    told.add(kind)
                    typer.echo(str(finding), err=True)
        return checker.records

    def started(bound: Bound) -> None:
        errors.print(
            f"Listening: OTLP over gRPC on {bound.grpc}, over HTTP on {bound.http}. Ctrl-C ends it.",
            soft_wrap=True,
        )

    asyncio.run(listen(take, started, grpc_port=ports[0], http_port=ports[1], seconds=seconds, count=count))


_MOST_KINDS: Final = 1000


@contextlib.contextmanager
def _progress(total: int) -> Generator[Callable[[int], None]]:
    """Show how far it is on a terminal, for input that takes a while."""
    if not errors.is_terminal or total < _WORTH_SHOWING:
        yield lambda _size: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    with Progress(
        BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=errors, transient=True
    ) as bar:
        task = bar.add_task("checking", total=total)
        yield lambda size: bar.advance(task, size)


_WORTH_SHOWING: Final = 4_000_000


def _write(report: Report, form: Format, output: Path | None) -> None:
    from runrecord.cli.checking.sarif import sarif

    as_data = sarif if form is Format.SARIF else type(report).json
    text = report.text() if form is Format.TEXT else as_data(report)
    if output is None:
        typer.echo(text)
        return
    try:
        output.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        fail(f"{output} can't be written: {error.strerror}.", "name a file that you may write", code=_USAGE)
    typer.echo(report.text().rsplit("\n", 1)[-1])
