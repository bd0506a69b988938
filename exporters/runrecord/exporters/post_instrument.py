# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""After auto-instrumentation: say loudly when telemetry leaves this process unredacted.

`opentelemetry-instrument` runs the first configurator it finds, by the order of directories on the path, but every
`opentelemetry_post_instrument` hook. So where another configurator won, this is where it is noticed.
"""

from __future__ import annotations

import logging

from runrecord.exporters.configurator import NAME, RunrecordConfigurator
from runrecord.exporters.providers import ExporterSite, State, global_sites

_logger = logging.getLogger(__name__)


def check_exporters() -> None:
    """Warn, in one line, about every exporter that has no redaction in front of it. Never raises."""
    try:
        if warning := describe(global_sites(), ours=RunrecordConfigurator.ran):
            _logger.warning("%s", warning)
    except Exception as error:  # noqa: BLE001 - a check must not break the app
        _logger.debug("The exporters could not be checked: %s", type(error).__qualname__)


def describe(found: list[ExporterSite], *, ours: bool) -> str:
    """Return the warning for what was found; empty when nothing is known to be unsafe.

    Args:
        found: The exporters of this process.
        ours: Whether Runrecord's configurator ran.
    """
    unsafe = [site for site in found if site.state is State.UNSAFE]
    if not unsafe:
        return ""
    names = ", ".join(f"{site.exporter.rpartition('.')[2]} ({site.signal})" for site in unsafe)
    fix = (
        "wrap it: SafeSpanExporter(exporter) or SafeLogExporter(exporter) from runrecord.exporters"
        if ours
        else f"set OTEL_PYTHON_CONFIGURATOR={NAME}"
    )
    cause = "it was added beside the configurator" if ours else "another configurator was loaded first"
    return f"Runrecord: telemetry leaves this process UNREDACTED through {names}; {cause}. Fix: {fix}"
