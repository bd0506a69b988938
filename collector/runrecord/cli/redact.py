# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord redact`: run a policy over files or the standard input, and show what it finds and why."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final, NoReturn

import typer

from runrecord.cli.console import console, errors, fail

if TYPE_CHECKING:
    from runrecord.cli.redacting.policy import Policy
    from runrecord.cli.redacting.show import Show

_USAGE: Final = 4
_FORMATS: Final = ("auto", "otlp", "jsonl", "text")
_STREAM: Final = Path("-")


def redact(  # noqa: PLR0917 - typer passes them by name
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files: OTLP (JSON lines, JSON, protobuf, intake logs), JSON lines, text. - is the standard input, and the default.",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy",
            "-p",
            metavar="FILE",
            help="A gateway's or an app's configuration, or a file with a section redaction; otherwise the default policy.",
            show_default=False,
        ),
    ] = None,
    pack: Annotated[
        list[str] | None,
        typer.Option(help="Use this pack instead of the policy's; can be repeated.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write the redacted output there.", show_default=False
        ),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="|".join(_FORMATS), help="What the inputs are.")
    ] = "auto",
    diff: Annotated[
        bool,
        typer.Option(
            "--diff",
            help="Show each finding before and after instead of the output; the default on a terminal.",
        ),
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Like --diff, and say why: rule, checks, policy line, source.")
    ] = False,
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets", help="With --diff on a terminal: show what was found as it is.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write no output, and exit with 1 if anything is found.")
    ] = False,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="Only say which line of the policy decides about this attribute key; can be repeated.",
            show_default=False,
        ),
    ] = None,
    tool: Annotated[str | None, typer.Option(help="With --key: the tool.", show_default=False)] = None,
    agent: Annotated[str | None, typer.Option(help="With --key: the agent.", show_default=False)] = None,
    tenant: Annotated[str | None, typer.Option(help="With --key: the tenant.", show_default=False)] = None,
    environment: Annotated[
        str | None, typer.Option(help="With --key: the environment.", show_default=False)
    ] = None,
    max_findings: Annotated[int, typer.Option(help="Show at most so many; all are counted.", min=1)] = 200,
) -> None:
    """Redact files by a policy, or show what it would find in them.

    Exit code 0 done, 1 something found (with --check) or an input that can't be redacted, 4 wrong command line, policy or unreadable input.

    [dim]$ runrecord redact traces.jsonl --policy runrecord.yaml -o redacted.jsonl
    $ kubectl logs agent | runrecord redact --explain
    $ runrecord redact --policy runrecord.yaml --key gen_ai.tool.call.arguments --tool create_refund[/]
    """
    try:
        from runrecord.cli.redacting.policy import PolicyFileError, load_policy
        from runrecord.cli.redacting.show import Show
    except ModuleNotFoundError as error:
        fail(
            f"redact needs {error.name}, which is not installed.",
            'pip install "runrecord[gateway]"',
            code=_USAGE,
        )
    if form not in _FORMATS:
        fail(f"no format {form!r}.", f"use one of {', '.join(_FORMATS)}", code=_USAGE)
    shows = diff or explain or (console.is_terminal and output is None and not check)
    if show_secrets and not (shows and console.is_terminal):
        fail(
            "--show-secrets is for a terminal.",
            "leave it out, or use it with --diff on a terminal",
            code=_USAGE,
        )
    try:
        compiled = load_policy(policy, tuple(pack or ()))
    except PolicyFileError as error:
        fail(
            str(error),
            "correct the policy; `runrecord validate` checks a gateway's configuration",
            code=_USAGE,
        )
    if key:
        facts = {"tool": tool, "agent": agent, "tenant": tenant, "environment": environment}
        _decide(compiled, key, {name: value for name, value in facts.items() if value is not None})
        return
    if not compiled.own_key:
        errors.print("[dim]note:[/] no tenant key here: pseudonyms are made with a key of this run only")
    show = Show(compiled, secrets=show_secrets, reasons=explain, limit=max_findings) if shows else None
    writes = output is not None or not (shows or check)
    counts = _run(compiled, inputs or [_STREAM], form, show, output if writes else None, writes=writes)
    _summary(counts)
    if check and counts:
        raise typer.Exit(1)


def _decide(policy: Policy, keys: list[str], facts: dict[str, str]) -> None:
    from runrecord.processors.redaction.context import Context

    known = {name: value.encode() for name, value in facts.items()}
    context = Context(lambda: known)  # type: ignore[arg-type,return-value]  # the names are those of the options
    for key in keys:
        decided = policy.redactor.explainer.by_key(key, context)
        nested = False
        if decided is None:
            decided, nested = policy.redactor.explainer.by_key(key, context, nested=True), True
        if decided is None:
            console.print(
                f"{key}: no rule by key; its text is held against the patterns", markup=False, soft_wrap=True
            )
            continue
        line, rule = decided
        where = " (as a path inside of JSON or a nested map)" if nested else ""
        console.print(
            f"{key}{where}: {rule.action}, by {policy.place(line)}, match {rule.match}",
            markup=False,
            soft_wrap=True,
        )


def _run(
    policy: Policy, inputs: list[Path], form: str, show: Show | None, output: Path | None, *, writes: bool
) -> Counter[str]:
    from runrecord.cli.checking.inputs import InputError
    from runrecord.cli.redacting.sources import Format, pieces
    from runrecord.cli.redacting.texts import texts
    from runrecord.processors import RedactionError

    counts: Counter[str] = Counter()
    place = ""
    try:
        with _opened(output, writes=writes) as file:
            for path in inputs:
                for piece in pieces(path, Format(form)):
                    place = (
                        f"{piece.name}:{piece.line}" if piece.line else f"{piece.name}@{max(piece.offset, 0)}"
                    )
                    redacted = policy.redactor.redact(piece.signal, piece.request.SerializeToString())
                    counts.update(redacted.counts)
                    if show is not None and redacted.counts:
                        for text in texts(piece):
                            show.text(text)
                    if file is not None:
                        file.write(piece.write(redacted.body))
    except InputError as error:
        fail(str(error), error.next_step, code=_USAGE)
    except RedactionError as error:
        fail(
            f"{place}: {error}.",
            "raise the limits of the policy, or leave this input out; nothing of it was written",
        )
    except BrokenPipeError:
        _closed_pipe()
    except OSError as error:
        fail(f"the output can't be written: {error.strerror}.", "check the path and the free space")
    return counts


def _closed_pipe() -> NoReturn:
    os.dup2(
        os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
    )  # or Python complains when it flushes at the end
    raise typer.Exit(0)


@contextmanager
def _opened(output: Path | None, *, writes: bool) -> Generator[BinaryIO | None]:
    """Open the output; a file appears under its name when it is whole."""
    if not writes:
        yield None
    elif output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        partial = output.with_name(f".{output.name}.{os.getpid()}.part")
        try:
            with partial.open("wb") as file:
                yield file
            partial.replace(output)
        finally:
            partial.unlink(missing_ok=True)


def _summary(counts: Counter[str]) -> None:
    if not counts:
        errors.print("nothing found")
        return
    each = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    errors.print(f"{counts.total()} found: {each}", markup=False, soft_wrap=True)
