# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Before and after auto-instrumentation: put redaction in front of every exporter that has none, and say so.

`opentelemetry-instrument` runs the first configurator it finds, by the order of directories on the path, but every
`opentelemetry_pre_instrument` and `opentelemetry_post_instrument` hook. So where another configurator won (that of opentelemetry-distro, for one), this is
where its exporters are guarded. What can't be guarded is shouted about.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from os import environ
from typing import Any, Final, NoReturn

from runrecord.exporters.configurator import NAME, RunrecordConfigurator
from runrecord.exporters.providers import ExporterSite, State, global_sites, guard_global

_logger = logging.getLogger(__name__)

_VARIABLE: Final = "OTEL_PYTHON_CONFIGURATOR"


@dataclass(frozen=True)
class Result:
    """What the hook found and did.

    Attributes:
        guarded: The exporters that had no redaction in front of them and have it now.
        unsafe: Those that could not be guarded.
        problem: Why content can't be redacted; empty when it can.
    """

    guarded: Sequence[ExporterSite] = ()
    unsafe: Sequence[ExporterSite] = ()
    problem: str = ""


class _Refuses:
    """Stands in for a policy that can't be used: the exporters get records without their content."""

    def redact(self, *_: Any) -> NoReturn:
        """Refuse.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError("there is no policy to redact by")


last: Result = Result()
"""What the hook did in this process, for `runrecord doctor`."""


def check_exporters() -> None:
    """Guard every exporter that has no redaction in front of it, and say so in one line. Never raises."""
    global last  # noqa: PLW0603 - one hook, one process
    try:
        before = _unsafe(global_sites())
        if not before or before == last.unsafe:
            return
        problem = _guard()
        unsafe = _unsafe(global_sites())
        guarded = [site for site in before if site not in unsafe]
        last = Result(guarded, unsafe, problem)
        for line in describe(last, ours=RunrecordConfigurator.ran):
            _logger.warning("%s", line)
    except Exception as error:  # noqa: BLE001 - a check must not break the app
        _logger.warning("Runrecord could not check the exporters: %s", type(error).__qualname__)


def describe(result: Result, *, ours: bool) -> list[str]:
    """Return what there is to say, one line for what was guarded and one for what was not.

    Args:
        result: What was done.
        ours: Whether Runrecord's configurator ran.
    """
    cause = "added beside Runrecord's configurator" if ours else f"set up by {_called(winner())}"
    clean = (
        "wrap them in SafeSpanExporter or SafeLogExporter from runrecord.exporters"
        if ours
        else f"set {_VARIABLE}={NAME}"
    )
    lines: list[str] = []
    if result.guarded:
        done = (
            f"so they send no content, since there is no usable policy: {result.problem}"
            if result.problem
            else "and redaction was put in front of them"
        )
        lines.append(f"Runrecord: {_names(result.guarded)}: {cause}, {done}. The clean way: {clean}")
    if result.unsafe:
        why = f"; {result.problem}" if result.problem else ""
        fix = 'pip install "runrecord[otlp]"' if result.problem else clean
        lines.append(
            f"Runrecord: telemetry leaves this process UNREDACTED through {_names(result.unsafe)}; {cause}{why}. Fix: {fix}"
        )
    return lines


def winner() -> EntryPoint | None:
    """Return the configurator that the loader takes: the one that the environment names, else the first found."""
    chosen = environ.get(_VARIABLE)
    for point in entry_points(group="opentelemetry_configurator"):
        if chosen is None or chosen == point.name:
            return point
    return None


def _called(point: EntryPoint | None) -> str:
    if point is None:
        return "no configurator"
    distribution = point.dist.metadata["Name"] if point.dist is not None else "unknown"
    return f"the configurator {point.name!r} ({distribution})"


def _guard() -> str:
    """Guard what can be guarded; return why content can't be redacted, or an empty string."""
    try:
        guard_global()
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed"
    except Exception as error:  # noqa: BLE001 - a policy that can't be used must not open the gates
        guard_global(_Refuses())
        return f"{type(error).__qualname__}: {error}"
    return ""


def _unsafe(found: Sequence[ExporterSite]) -> list[ExporterSite]:
    return [site for site in found if site.state is State.UNSAFE]


def _names(found: Sequence[ExporterSite]) -> str:
    return ", ".join(f"{site.exporter.rpartition('.')[2]} ({site.signal})" for site in found)
