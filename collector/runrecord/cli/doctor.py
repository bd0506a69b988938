# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""``runrecord doctor``: is what this environment would send redacted, and who would send it?

The answer is not guessed from what is installed: a short program runs under ``opentelemetry-instrument`` with the same
environment, and reports what it finds in its own process.
"""

from __future__ import annotations

import json as json_format
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from os import environ
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import typer

from runrecord.cli.console import console

State = Literal["ok", "info", "warning", "unsafe"]

_STYLES: Final = {"ok": "green", "info": "dim", "warning": "yellow", "unsafe": "bold red"}
_PROBE_SECONDS: Final = 60
_CONNECT_SECONDS: Final = 1.0
_CAPTURE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_DISABLED: Final = "OTEL_SDK_DISABLED"
_MEND: Final = "correct this; no content is exported until it is"
_START: Final = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
"""What the script `opentelemetry-instrument` does, with the interpreter that runs this."""


@dataclass(frozen=True)
class Check:
    """One line of the answer.

    Attributes:
        check: What was looked at.
        state: `unsafe` makes the command fail; `warning` wants a look.
        found: What is the case.
        next_step: What to do about it; empty when there is nothing to do.
    """

    check: str
    state: State
    found: str
    next_step: str = ""


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say whether telemetry of this environment is redacted, by whom, and what is switched on.

    Exit code 0 when nothing is unsafe, 1 when telemetry would leave unredacted or a secret lies open.

    [dim]$ runrecord doctor[/]
    """
    probe = _probe()
    checks = [
        *_sdk(),
        *_configurator(probe),
        *_exporters(probe),
        *_redaction(probe),
        *_integrations(probe),
        *_content(),
        *_propagation(probe),
        *_tenant_key(),
        *_run_keys(),
        *_state_dir(),
        *_endpoints(probe),
    ]
    unsafe = any(check.state == "unsafe" for check in checks)
    if json:
        result = {"safe": not unsafe, "checks": [asdict(check) for check in checks], "probe": probe}
        typer.echo(json_format.dumps(result, indent=2))
    else:
        _show(checks, unsafe=unsafe)
    if unsafe:
        raise typer.Exit(1)


def _show(checks: list[Check], *, unsafe: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        text = escape(check.found)
        if check.next_step:
            text += f"\n[dim]next:[/] {escape(check.next_step)}"
        table.add_row(check.check, f"[{_STYLES[check.state]}]{check.state}[/]", text)
    console.print(table)
    console.print()
    console.print("[bold red]Unsafe[/]: see above." if unsafe else "[green]Nothing unsafe was found.[/]")


def _probe() -> dict[str, Any]:
    """Run the probe in a configured process and return what it found, or why there is nothing."""
    with tempfile.TemporaryDirectory(prefix="runrecord-doctor-") as directory:
        output = Path(directory) / "probe.json"
        command = [
            sys.executable,
            "-c",
            _START,
            sys.executable,
            "-m",
            "runrecord.exporters.probe",
            str(output),
        ]
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and module
                command,
                capture_output=True,
                text=True,
                timeout=_PROBE_SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            return {"problem": f"opentelemetry-instrument did not start a program within {_PROBE_SECONDS} s"}
        if not output.exists():
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            return {"problem": f"opentelemetry-instrument could not run a program: {last}"}
        found: dict[str, Any] = json_format.loads(output.read_text(encoding="utf-8"))
        return found


def _disabled() -> bool:
    return environ.get(_DISABLED, "").strip().lower() == "true"


def _sdk() -> Iterator[Check]:
    if _disabled():
        yield Check(
            "sdk", "warning", f"{_DISABLED}={environ[_DISABLED]}: nothing is recorded", f"unset {_DISABLED}"
        )


def _configurator(probe: Mapping[str, Any]) -> Iterator[Check]:
    if problem := probe.get("problem"):
        yield Check("configurator", "warning", str(problem), 'pip install "runrecord[otlp]"')
        return
    found: list[dict[str, str]] = probe["configurators"]
    order = ", ".join(f"{point['name']} ({point['distribution']})" for point in found) or "none"
    chosen = environ.get("OTEL_PYTHON_CONFIGURATOR")
    why = f"OTEL_PYTHON_CONFIGURATOR={chosen}" if chosen else f"the first found of: {order}"
    if probe["configurator_problem"]:
        yield Check(
            "configurator",
            "warning",
            f"runrecord ({why}) exports nothing: {probe['configurator_problem']}",
            _MEND,
        )
    elif probe["configurator_ran"]:
        yield Check("configurator", "ok", f"runrecord ({why})")
    elif chosen and chosen not in {point["name"] for point in found}:
        yield Check(
            "configurator",
            "warning",
            f"none: no configurator is called {chosen!r} ({why}); installed: {order}",
            "set OTEL_PYTHON_CONFIGURATOR=runrecord",
        )
    else:
        winner = chosen or (found[0]["name"] if found else "none")
        guarded = "; Runrecord put redaction in front of its exporters" if probe["guarded"] else ""
        yield Check(
            "configurator",
            "warning",
            f"{winner} ({why}){guarded}",
            "set OTEL_PYTHON_CONFIGURATOR=runrecord",
        )


def _exporters(probe: Mapping[str, Any]) -> Iterator[Check]:
    if _disabled():
        return
    sites: list[dict[str, str]] = probe.get("exporters", [])
    guarded: list[dict[str, str]] = probe.get("guarded", [])
    for site in sites:
        name = site["exporter"].rpartition(".")[2]
        package = site["exporter"].rpartition(".")[0]
        where = f"{site['signal']}: {name} ({package})" if name else f"{site['signal']}: {site['processor']}"
        match site["state"]:
            case "safe":
                late = {"signal": site["signal"], "exporter": site["exporter"]} in guarded
                if late and probe.get("guard_problem"):
                    yield Check(
                        "exporter", "warning", f"{where}, sends no content: there is no policy", _MEND
                    )
                else:
                    how = ", by a guard put in front of it afterwards" if late else ""
                    yield Check("exporter", "ok", f"{where}, redacted{how}")
            case "unsafe":
                fix = (
                    "wrap it in a SafeSpanExporter or SafeLogExporter"
                    if probe.get("configurator_ran")
                    else "set OTEL_PYTHON_CONFIGURATOR=runrecord"
                )
                yield Check("exporter", "unsafe", f"{where}, NOT redacted", fix)
            case _:
                yield Check(
                    "exporter",
                    "warning",
                    f"{where}, unknown: what it exports can't be seen from outside",
                    "look at it",
                )
    if not sites and not probe.get("problem") and not probe["configurator_problem"]:
        names = {name: environ.get(name) for name in ("OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER")}
        set_to = ", ".join(f"{name}={value}" for name, value in names.items() if value is not None)
        if not probe["configured"]:
            yield Check("exporter", "info", "none: no configurator ran; nothing is exported")
        else:
            missing = "no OTLP exporter is installed" if probe["configurator_ran"] else "none is configured"
            yield Check(
                "exporter",
                "info",
                f"none: {set_to or missing}; nothing is exported",
                'pip install "runrecord[otlp]"' if not set_to and probe["configurator_ran"] else "",
            )
    for name in probe.get("metrics", []):
        yield Check("exporter", "warning", f"metrics: {name}; metrics are not redacted in the process", "")


def _redaction(probe: Mapping[str, Any]) -> Iterator[Check]:
    facts: Mapping[str, str] = probe.get("redaction", {})
    if problem := facts.get("problem"):
        yield Check("redaction", "warning", f"no policy: {problem}", _MEND)
    elif facts:
        line = f"engine {facts['engine']}, rules {facts['rules']}, policy {facts['policy']}"
        if facts["engine"].startswith("hyperscan"):
            yield Check("redaction", "ok", line)
        else:
            why = facts["hyperscan"] or "it was slower in the self-test at the start, or refused the rules"
            yield Check(
                "redaction",
                "info",
                f"{line}; slower than hyperscan, which is not used: {why}",
                'pip install "runrecord[redaction]"' if facts["hyperscan"] == "not installed" else "",
            )


def _integrations(probe: Mapping[str, Any]) -> Iterator[Check]:
    found: list[dict[str, str]] = probe.get("integrations", [])
    for point in found:
        status, reason = point["status"], point["reason"]
        state: State = {"active": "ok", "conflict": "warning", "failed": "warning"}.get(status, "info")  # type: ignore[assignment]
        yield Check("integration", state, f"{point['name']}: {status}" + (f" ({reason})" if reason else ""))


def _content() -> Iterator[Check]:
    value = environ.get(_CAPTURE, "")
    if value.strip().upper() in {"", "FALSE", "NO_CONTENT"}:
        yield Check("content", "ok", "prompts, arguments and results are not captured")
    else:
        yield Check("content", "info", f"captured, and redacted where an exporter is ({_CAPTURE}={value})")


def _propagation(probe: Mapping[str, Any]) -> Iterator[Check]:
    from runrecord.instrumentation.propagation.policy import ACCEPT, HOSTS, PROCESSES, read_policy

    policy = read_policy()
    for problem in policy.problems:
        yield Check("propagation", "warning", f"{problem}; it allows nothing", "correct it")
    facts: Mapping[str, Any] = probe.get("propagation", {})
    hosts = ", ".join(policy.hosts.patterns)
    if not hosts:
        yield Check("propagation", "ok", f"the run id is sent to no host ({HOSTS} is not set)")
    elif facts and not facts["around"] and not facts["listed"]:
        yield Check(
            "propagation",
            "warning",
            f"the run id is sent to no host, though {HOSTS} names some: the propagator is not Runrecord's",
            "let runrecord_propagation be instrumented, after any set_global_textmap",
        )
    elif facts and "baggage" not in facts["fields"]:
        yield Check(
            "propagation",
            "warning",
            f"the run id is sent to no host, though {HOSTS} names some: no propagator sends baggage",
            "add baggage to OTEL_PROPAGATORS",
        )
    else:
        yield Check("propagation", "info", f"the run id and the step index are sent to {hosts}")
    if policy.processes and facts.get("around"):
        yield Check(
            "propagation", "info", f"child processes are told the run id ({PROCESSES}=false ends that)"
        )
    if policy.accept:
        yield Check("propagation", "info", f"the run id of any request is believed ({ACCEPT} is set)")


def _tenant_key() -> Iterator[Check]:
    from runrecord.semconv.commitment import KEY_VARIABLE, load_tenant_key, tenant_key_file
    from runrecord.semconv.errors import SemconvError

    value = environ.get(KEY_VARIABLE, "").strip()
    try:
        path = (
            Path(value.removeprefix("file:")).expanduser() if value.startswith("file:") else tenant_key_file()
        )
        if value and not value.startswith("file:"):
            where = KEY_VARIABLE
        elif path.exists():
            mode = stat.S_IMODE(path.stat().st_mode)
            where = f"{path}, mode {mode:04o}"
            if mode & 0o077:
                yield Check("tenant key", "unsafe", f"others can read {where}", f"chmod 600 {path}")
                return
        else:
            where = str(path)
            if not value:
                yield Check("tenant key", "info", f"none yet; it is made at the first run, in {path}")
                return
        key = load_tenant_key(create=False)
    except (SemconvError, OSError) as error:
        yield Check("tenant key", "unsafe", str(error), "Without a key, digests can't be made.")
        return
    yield Check("tenant key", "ok", f"{where}, fingerprint {key.fingerprint}")


def _run_keys() -> Iterator[Check]:
    from runrecord.ledger.errors import LedgerError
    from runrecord.ledger.run_keys import RUN_KEYS_FILE, RunSecrets
    from runrecord.ledger.stores.location import default_location, open_store

    try:
        store = open_store(default_location())
        path = store.path / ".state" / RUN_KEYS_FILE
        store.close()
        if path.exists():
            held = RunSecrets(path)
            erased = f", {held.version} runs erased" if held.version else ""
            yield Check("run keys", "ok", f"{path}, id {held.identity[:8]}{erased}")
        elif path.parent.exists():
            yield Check("run keys", "info", f"none yet; they are made with the first entry, in {path}")
    except LedgerError as error:
        state: State = "unsafe" if "others can read" in error.message else "warning"
        yield Check("run keys", state, error.message, error.next_step or "")


def _state_dir() -> Iterator[Check]:
    from runrecord.semconv.errors import SemconvError
    from runrecord.semconv.state import STATE_DIR_VARIABLE, state_dir

    try:
        path = state_dir()
    except SemconvError as error:
        yield Check("state", "warning", str(error))
        return
    if not path.exists():
        yield Check("state", "info", f"{path}, not made yet")
    elif not path.is_dir():
        yield Check("state", "warning", f"{path} is not a directory", f"set {STATE_DIR_VARIABLE} to one")
    elif (mode := stat.S_IMODE(path.stat().st_mode)) & 0o022:
        yield Check("state", "unsafe", f"others can write to {path}, mode {mode:04o}", f"chmod 700 {path}")
    else:
        yield Check("state", "ok", f"{path}, mode {mode:04o}")


def _endpoints(probe: Mapping[str, Any]) -> Iterator[Check]:
    if _disabled():
        return
    seen: set[tuple[str, int]] = set()
    sites: list[dict[str, str]] = probe.get("exporters", [])
    for site in sites:
        if not site["exporter"].startswith("opentelemetry.exporter.otlp.proto."):
            continue
        http = ".proto.http." in site["exporter"]
        value = (
            environ.get(f"OTEL_EXPORTER_OTLP_{site['signal'].upper()}_ENDPOINT")
            or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
            or f"http://localhost:{4318 if http else 4317}"
        )
        try:
            parts = urlsplit(value if "://" in value else f"//{value}")
            address = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            yield Check("endpoint", "warning", f"{site['signal']}: the OTLP endpoint is not a URL")
            continue
        if address in seen:
            continue
        seen.add(address)
        shown = f"{address[0]}:{address[1]}"  # not the URL: it may hold a password
        try:
            socket.create_connection(address, _CONNECT_SECONDS).close()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            yield Check(
                "endpoint",
                "warning",
                f"{shown} can't be reached: {reason}",
                "start a collector there (runrecord gateway), or set OTEL_EXPORTER_OTLP_ENDPOINT",
            )
        else:
            yield Check("endpoint", "ok", f"{shown} accepts connections")
