# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord gateway`: OTLP in, redacted and durable, to a ledger and to any back end."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runrecord.cli.console import console, fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from runrecord.collector import Gateway, GatewayConfig
    from runrecord.collector.workers import Supervisor

_USAGE = 4
_LEVELS = ("debug", "info", "warning", "error")


def gateway(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="The configuration file. Check one with: runrecord validate FILE"
        ),
    ] = None,
    forward: Annotated[
        str | None,
        typer.Option(
            help="Also forward everything to this OTLP/HTTP back end, for example http://localhost:4328"
        ),
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL",
            help="The ledger: a directory, or the address of a store. Without a configuration: RUNRECORD_LEDGER, or ./ledger",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, max=64, help="Processes that receive, on the same ports; service.workers by default"
        ),
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(
            help="debug, info, warning or error; to standard error, never content; service.telemetry.logs.level by default"
        ),
    ] = None,
) -> None:
    """Receive OTLP, redact it, seal what is governed in the ledger, and forward everything.

    A request is acknowledged when it is redacted and durable in the intake log; kill -9 at any moment loses nothing that was.
    On SIGHUP it reads its configuration and certificates again, without closing a connection.
    Without --config it listens on 127.0.0.1:4317 and :4318, redacts secrets and personal data, and forwards nowhere.

    [dim]$ runrecord gateway --forward http://localhost:4328[/]
    """
    try:
        from runrecord.collector import ConfigError, GatewayError
        from runrecord.collector.own_signals import own_signals
    except ModuleNotFoundError as error:
        fail(
            f"the gateway needs {error.name}, which is not installed.",
            'pip install "runrecord[gateway]"',
            code=_USAGE,
        )
    _check_level(log_level)

    def load() -> GatewayConfig:
        return effective_config(config, forward=forward, ledger=ledger, workers=workers)

    try:
        settings = load()
        with own_signals(settings.service.telemetry, level=log_level):
            asyncio.run(_serve(settings, load, log_level))
    except ConfigError as error:
        fail(str(error), error.next_step, code=_USAGE)
    except GatewayError as error:
        fail(str(error), error.next_step or None)


def effective_config(
    config: Path | None,
    *,
    forward: str | None = None,
    ledger: str | Path | None = None,
    workers: int | None = None,
) -> GatewayConfig:
    """Read the file, or the built-in default, and apply the options of the command line.

    Args:
        config: The file; None for the default.
        forward: URL of one more back end, in every pipeline.
        ledger: Directory or address of the ledger; a ledger is added to traces and logs if there is none.
        workers: How many processes receive.

    Returns:
        What the gateway will run.

    Raises:
        ConfigError: The file or an option is wrong.
    """
    from pydantic import SecretStr

    from runrecord.collector import ConfigError, GatewayConfig, load_config, parse_config
    from runrecord.exporters.settings_yaml import Problem

    settings = GatewayConfig() if config is None else load_config(config)
    exporters: dict[str, Any] = dict(settings.exporters)
    pipelines = dict(settings.service.pipelines)
    if forward is not None:
        import json

        wanted = {"otlp_http/forward": {"endpoint": forward}, "ledger": {}}
        try:
            exporters["otlp_http/forward"] = parse_config(json.dumps({"exporters": wanted})).exporters[
                "otlp_http/forward"
            ]
        except ConfigError as error:
            why = error.problems[0].message
            raise ConfigError(None, [Problem(why, key=f"--forward {forward}")]) from None
        for name, pipeline in pipelines.items():
            pipelines[name] = pipeline.model_copy(
                update={"exporters": (*pipeline.exporters, "otlp_http/forward")}
            )
    if ledger is not None:
        names = list(settings.ledgers) or ["ledger"]
        section = settings.ledgers.get(names[0]) or GatewayConfig().exporters["ledger"]
        store = SecretStr(ledger) if isinstance(ledger, str) and "://" in ledger else None
        place = {"store": store} if store else {"directory": Path(ledger), "store": None}
        exporters[names[0]] = section.model_copy(update=place)
        if not settings.ledgers:
            for name, pipeline in pipelines.items():
                if name.value != "metrics":
                    pipelines[name] = pipeline.model_copy(
                        update={"exporters": (*pipeline.exporters, names[0])}
                    )
    service = settings.service.model_copy(
        update={"pipelines": pipelines, "workers": workers or settings.service.workers}
    )
    return settings.model_copy(update={"exporters": exporters, "service": service})


async def _serve(settings: GatewayConfig, load: Callable[[], GatewayConfig], log_level: str | None) -> None:
    from runrecord.collector import Gateway
    from runrecord.collector.reload import Reloader
    from runrecord.collector.workers import Supervisor

    stop, again = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, again.set)
    gateway = (
        Gateway(settings) if settings.service.workers == 1 else Supervisor(settings, log_level=log_level)
    )
    async with gateway:
        reloader = Reloader(gateway, load)
        _announce(gateway)

        async def reload() -> None:
            while True:
                await again.wait()
                again.clear()
                await reloader.reload()

        reloading = asyncio.create_task(reload())
        await stop.wait()
        reloading.cancel()
        console.print("Stopping: answering what is under way, then a last checkpoint ...")
    console.print("Stopped. What a back end has not taken yet stays in the intake log.")


def _announce(running: Gateway | Supervisor) -> None:
    bound, config = running.bound, running.config
    http, kafka = config.receivers.otlp.protocols.http, config.service.intake.kafka
    scheme = "https" if http is not None and http.tls is not None else "http"
    rows = [
        ("OTLP over gRPC", bound.grpc and str(bound.grpc)),
        ("OTLP over HTTP", bound.http and f"{scheme}://{bound.http}"),
        ("metrics", bound.metrics and f"http://{bound.metrics}/metrics"),
        ("health", bound.health and f"http://{bound.health}/"),
        *((name, exporter.where) for name, exporter in config.ledgers.items()),
        *((name, exporter.endpoint) for name, exporter in config.forwarders.items()),
        (
            "intake log",
            f"topic {kafka.topic} of {', '.join(kafka.brokers)}"
            if kafka is not None
            else str((config.service.state_dir / "intake").absolute()),
        ),
        ("receivers", f"{config.service.workers} processes" if config.service.workers > 1 else None),
        *(
            (signal.value, " -> ".join((*pipeline.processors, pipeline.way_out())))
            for signal, pipeline in config.service.pipelines.items()
        ),
    ]
    for name, value in rows:
        if value:
            console.print(f"  {_plain(name):<20} {_plain(value)}", soft_wrap=True)
    console.print("Runrecord gateway is ready. Stop it with Ctrl-C.")
    sys.stdout.flush()


def _plain(text: str) -> str:
    """Keep rich from reading brackets as markup."""
    from rich.markup import escape

    return escape(text)


def _check_level(level: str | None) -> None:
    if level is not None and level.lower() not in _LEVELS:
        fail(f"--log-level {level} is none of {', '.join(_LEVELS)}", code=_USAGE)
