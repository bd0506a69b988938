# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What `runrecord doctor` runs under `opentelemetry-instrument`: look around in a process that was really configured.

Writes what it finds as JSON to the file named on its command line (standard output may belong to a console exporter).
Nothing is exported: no span is made.
"""

from __future__ import annotations

import importlib
import json
import sys
from importlib.metadata import EntryPoint, entry_points
from os import environ
from pathlib import Path
from typing import Any

from opentelemetry.instrumentation.dependencies import get_dependency_conflicts, get_dist_dependency_conflicts
from opentelemetry.propagate import get_global_textmap

from runrecord.exporters import post_instrument
from runrecord.exporters.configurator import RunrecordConfigurator
from runrecord.exporters.providers import global_sites


def look() -> dict[str, Any]:
    """Return the facts of this process as JSON-ready values."""
    return {
        "configurators": [_entry_point(point) for point in entry_points(group="opentelemetry_configurator")],
        "configured": post_instrument.winner() is not None,
        "configurator_ran": RunrecordConfigurator.ran,
        "configurator_problem": RunrecordConfigurator.problem,
        "exporters": [
            {
                "signal": site.signal,
                "processor": site.processor,
                "exporter": site.exporter,
                "state": site.state.value,
            }
            for site in global_sites()
        ],
        "guarded": [
            {"signal": site.signal, "exporter": site.exporter} for site in post_instrument.last.guarded
        ],
        "guard_problem": post_instrument.last.problem,
        "metrics": _metric_exporters(),
        "redaction": _redaction(),
        "propagation": _propagation(),
        "integrations": [_integration(point) for point in entry_points(group="opentelemetry_instrumentor")],
    }


def _entry_point(point: EntryPoint) -> dict[str, str]:
    return {
        "name": point.name,
        "value": point.value,
        "distribution": point.dist.metadata["Name"] if point.dist is not None else "",
    }


def _metric_exporters() -> list[str]:
    names = environ.get("OTEL_METRICS_EXPORTER", "")
    return [name.strip() for name in names.split(",") if name.strip() not in {"", "none"}]


def _redaction() -> dict[str, str]:
    try:
        from runrecord.exporters.settings import load_protection  # noqa: PLC0415 - may be what is not installed

        protection = load_protection()
    except Exception as error:  # noqa: BLE001 - the reason is what is asked for
        return {"problem": f"{type(error).__qualname__}: {error}"}
    return {
        "engine": str(getattr(protection.redactor, "engine_name", "unknown")),
        "rules": str(getattr(protection.redactor, "rules_version", "unknown")),
        "policy": protection.source,
        "hyperscan": _importable("hyperscan"),
    }


def _propagation() -> dict[str, Any]:
    propagator = get_global_textmap()
    around = type(propagator).__module__.startswith("runrecord.instrumentation.propagation")
    listed = [name.strip() for name in environ.get("OTEL_PROPAGATORS", "").split(",")]
    return {"around": around, "listed": "runrecord" in listed, "fields": sorted(propagator.fields)}


def _importable(module: str) -> str:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError:
        return "not installed"
    except Exception as error:  # noqa: BLE001 - a wheel for another machine raises anything
        return f"does not load: {type(error).__qualname__}"
    return ""


def _integration(point: EntryPoint) -> dict[str, str]:
    status, reason = _status(point)
    return {**_entry_point(point), "status": status, "reason": reason}


def _status(point: EntryPoint) -> tuple[str, str]:
    disabled = [name.strip() for name in environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")]
    if point.name in disabled or "*" in disabled:
        return "disabled", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
    try:
        conflict: Any = get_dist_dependency_conflicts(point.dist) if point.dist is not None else None
        if conflict is None:
            instrumentor: Any = point.load()()
            if instrumentor.is_instrumented_by_opentelemetry:
                return "active", ""
            conflict = get_dependency_conflicts(instrumentor.instrumentation_dependencies())
    except ModuleNotFoundError as error:
        return "not installed", f"no module named {error.name}"
    except Exception as error:  # noqa: BLE001 - one broken integration must not hide the others
        return "failed", type(error).__qualname__
    if conflict is not None:
        return _conflict(conflict)
    return "inactive", "it did not switch itself on; see the log of opentelemetry-instrument"


def _conflict(conflict: Any) -> tuple[str, str]:
    installed = bool(conflict.found or conflict.found_any)
    wanted = conflict.required or ", ".join(map(str, conflict.required_any or ()))
    found = conflict.found or ", ".join(map(str, conflict.found_any or ()))
    return (
        ("conflict", f"needs {wanted}, found {found}") if installed else ("not installed", f"needs {wanted}")
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(look()), encoding="utf-8")
