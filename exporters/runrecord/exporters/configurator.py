# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The configurator that `opentelemetry-instrument` loads: the standard one, with redaction in front of every exporter.

Registered as `runrecord` under `opentelemetry_configurator`. The loader runs only the first configurator it finds; where
another distribution's comes first, ``OTEL_PYTHON_CONFIGURATOR=runrecord`` selects this one, and
`runrecord.exporters.post_instrument` says so.

This module imports nothing but the standard library, since it is loaded wherever Runrecord is installed, with or without
the SDK; the work is in `runrecord.exporters.sdk`.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import Any, Final

_logger = logging.getLogger(__name__)

NAME: Final = "runrecord"
"""The name of the entry point, the value of ``OTEL_PYTHON_CONFIGURATOR``."""

_NEEDED: Final = (
    "opentelemetry.sdk",
    "opentelemetry.exporter.otlp.proto.common",
    "google.protobuf",
    "pydantic",
    "yaml",
)
"""What the base install does not bring."""


class RunrecordConfigurator:
    """Configures the SDK from the ``OTEL_*`` variables, and redacts what its exporters send."""

    ran: bool = False
    """Whether one of these was asked to configure this process."""

    problem: str = ""
    """Why it exports nothing; empty when all went well. Never content."""

    def configure(self, **arguments: Any) -> None:
        """Configure the SDK.

        Args:
            **arguments: As for the SDK's own configurator; the loader passes ``auto_instrumentation_version``.

        Raises:
            SettingsError: ``RUNRECORD_CONFIG`` names a file that can't be used. The loader logs it, and nothing is
                exported: better no telemetry than unredacted telemetry.
            ProcessorError: The policy can't be compiled; likewise.
        """
        RunrecordConfigurator.ran = True
        missing = [name for name in _NEEDED if not _is_installed(name)]
        if missing:
            RunrecordConfigurator.problem = f"{missing[0]} is not installed"
            _logger.error(
                "Runrecord exports nothing: %s is not installed, so nothing can be redacted. Next step: "
                'pip install "runrecord[otlp]", or select another configurator with OTEL_PYTHON_CONFIGURATOR',
                missing[0],
            )
            return
        try:
            from runrecord.exporters.sdk import configure_sdk  # noqa: PLC0415 - see the module's docstring

            configure_sdk(**arguments)
        except Exception as error:
            RunrecordConfigurator.problem = f"{type(error).__qualname__}: {error}"
            raise


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
