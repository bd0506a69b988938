# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""``runrecord demo``: the main job, and what became of it."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from runrecord.cli.console import console, fail

if TYPE_CHECKING:
    from runrecord.demo.job import Job


class UI(str, Enum):
    """A tracing UI that the demo can start."""

    PHOENIX = "phoenix"


def demo(
    ui: Annotated[
        UI | None,
        typer.Option(help="Start this tracing UI too, and forward the runs to it. Installed on first use."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
    directory: Annotated[
        Path | None,
        typer.Option(
            help="Where to put everything; must be empty or new. Default: a new temporary directory."
        ),
    ] = None,
) -> None:
    """Run the main job: a refund agent, its approvals, its policy, and the evidence of all three.

    Three runs of an ordinary LangGraph program in processes of their own: one waits for a person and is approved by another
    process, one is denied by the policy, one is denied by the person. Their spans go through the gateway, which redacts them,
    seals them in a ledger and forwards them.

    [dim]$ runrecord demo --ui phoenix --keep[/]
    """
    try:
        from runrecord.demo import phoenix
        from runrecord.demo.job import STORIES, Job
        from runrecord.demo.processes import DemoError, Service, free_port
    except ModuleNotFoundError as error:
        fail(f"the demo needs {error.name}, which is not installed.", 'pip install "runrecord[demo]"', code=4)

    place = (directory or Path(tempfile.mkdtemp(prefix="runrecord-demo-"))).resolve()
    if place.exists() and any(place.iterdir()):
        fail(f"{place} is not empty.", "name a new directory with --directory, or none at all", code=4)
    started = time.monotonic()
    signal.signal(
        signal.SIGTERM, lambda _signal, _frame: sys.exit(143)
    )  # so that the services are stopped too
    with ExitStack() as services:
        try:
            (place / "logs").mkdir(parents=True, exist_ok=True)
            port = free_port()
            ui_url = f"http://127.0.0.1:{port}"
            job = Job(place, f"{ui_url}/v1/traces", say=lambda line: console.print(f"  {line}", style="dim"))
            if ui is UI.PHOENIX:
                command = phoenix.find()
                if command is None:
                    console.print(
                        "Installing Arize Phoenix in an environment of its own; this takes some minutes, once ..."
                    )
                    command = phoenix.install()
                console.print("Starting Arize Phoenix ...")
                backend = phoenix.service(command, place, port, free_port(), job.environment())
            else:
                sink = [sys.executable, "-m", "runrecord.demo.sink", str(port), str(place / "forwarded")]
                backend = Service("back end", sink, place / "logs" / "backend.log", job.environment())
            services.callback(backend.stop)
            backend.start(ui_url, timeout=120)
            services.callback(job.gateway.stop)
            job.start_gateway()
            console.rule("[bold]Three runs of a refund agent", align="left")
            for story in STORIES:
                job.tell(story)
            job.wait_until_sealed(len(STORIES))
            _report(job)
            if ui is UI.PHOENIX:
                _show_phoenix(ui_url, phoenix.wait_for_spans(ui_url, minimum=1, timeout=30))
        except DemoError as error:
            fail(str(error), f"everything the demo wrote is in {place}")
        console.print(
            f"\n[dim]{time.monotonic() - started:.0f} s in all. Everything is in {place}[/]", soft_wrap=True
        )
        if keep:
            _hold(job, ui_url if ui else None)


def _report(job: Job) -> None:
    """Print the trees, the redactions, the checkpoint, step N, the verified bundle and where to look next."""
    from runrecord.cli.tree import render_run
    from runrecord.ledger import Ledger
    from runrecord.semconv import attributes as names

    with Ledger(job.ledger_directory, read_only=True) as ledger:
        views = [
            ledger.run(summary.run) for summary in sorted(ledger.runs(), key=lambda run: run.first_index)
        ]
    checkpoint = (job.ledger_directory / "checkpoint").read_text()
    for view in views:
        console.print()
        console.print(render_run(view))

    console.print()
    console.rule("[bold]What the gateway redacted", align="left")
    table = Table("rule", "matches", box=None)
    for rule, count in sorted(job.redaction_counts().items()):
        table.add_row(rule, str(count))
    console.print(table)

    console.print()
    console.rule("[bold]The ledger's checkpoint", align="left")
    console.print(checkpoint, markup=False, soft_wrap=True)

    first = views[0]
    step = next(call.entry.integer(names.STEP_INDEX) for call in first.calls if call.changes_something)
    bundle = job.directory / "refund-a.auditbundle.zip"
    trust = job.directory / "trust.txt"
    commands = (
        (
            "What happened at this step, and what did it write?",
            ["show", first.run, "--step", str(step)],
        ),
        (
            "Evidence for an outsider",
            ["bundle", first.run, "--output", str(bundle), "--trust-out", str(trust)],
        ),
        ("Checked offline, with pinned keys", ["verify", str(bundle), "--trust", str(trust)]),
    )
    for title, command in commands:
        console.print()
        console.rule(f"[bold]{title}", align="left")
        _command(job, command)

    console.print()
    console.rule("[bold]Where to look next", align="left")
    for line in (
        f"runrecord show --ledger {job.ledger_directory}",
        f"runrecord audit {first.run} --ledger {job.ledger_directory}",
        f"unzip -p {bundle} report.html > report.html",
        "runrecord demo --ui phoenix --keep",
    ):
        console.print(f"  $ {line}", soft_wrap=True, markup=False)


def _command(job: Job, arguments: list[str]) -> None:
    """Run one of our own commands as a user would, and show it."""
    from runrecord.demo.processes import DemoError, script

    console.print(f"$ runrecord {' '.join(arguments)}", style="dim", soft_wrap=True, markup=False)
    environment = {**job.environment(), "COLUMNS": str(console.width)}
    if console.is_terminal:
        environment["FORCE_COLOR"] = "1"
    sys.stdout.flush()
    done = subprocess.run([script("runrecord"), *arguments], env=environment, check=False)  # noqa: S603 - our own command
    if done.returncode != 0:
        message = f"runrecord {arguments[0]} ended with exit code {done.returncode}"
        raise DemoError(message)


def _show_phoenix(url: str, found: list[dict[str, Any]]) -> None:
    traces = {span["context"]["trace_id"] for span in found}
    console.print()
    console.rule("[bold]The same runs in Arize Phoenix", align="left")
    console.print(f"  {len(found)} spans in {len(traces)} traces: {url}/projects", soft_wrap=True)


def _hold(job: Job, ui_url: str | None) -> None:
    console.print(
        f"\nRunning: OTLP/gRPC on 127.0.0.1:{job.otlp_port}, OTLP/HTTP on 127.0.0.1:{job.http_port}",
        soft_wrap=True,
    )
    if ui_url:
        console.print(f"Phoenix: {ui_url}", soft_wrap=True)
    console.print("Ctrl-C stops it.")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print("Stopping ...")
