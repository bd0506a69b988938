# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""OTLP out: the intake log, and redaction in front of any exporter inside an app.

Names are loaded when they are first used: the gateway takes the intake log without the SDK, and an app takes the safe
exporters without the gateway.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from runrecord.exporters.errors import ExporterError

if TYPE_CHECKING:
    from runrecord.exporters.configurator import RunrecordConfigurator
    from runrecord.exporters.intake import IntakeLog
    from runrecord.exporters.pipeline import Processor, Redacts
    from runrecord.exporters.safe import SafeLogExporter, SafeSpanExporter
    from runrecord.exporters.settings import SettingsError

__all__ = [
    "ExporterError",
    "IntakeLog",
    "Processor",
    "Redacts",
    "RunrecordConfigurator",
    "SafeLogExporter",
    "SafeSpanExporter",
    "SettingsError",
]

_HOMES: Final = {
    "IntakeLog": "intake",
    "Processor": "pipeline",
    "Redacts": "pipeline",
    "RunrecordConfigurator": "configurator",
    "SafeLogExporter": "safe",
    "SafeSpanExporter": "safe",
    "SettingsError": "settings",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if (home := _HOMES.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
