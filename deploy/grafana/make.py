# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Writes a dashboard of each YAML file beside this one: rows, in them panels, in them queries by legend. `make generate` runs it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 3
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard(
    uid: str, title: str, variable: tuple[str, str], rows: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """Return a dashboard as Grafana imports it (schema version 39, Grafana 11 and later).

    Args:
        uid: Its name in URLs.
        title: Its name for people.
        variable: Name of a variable and the PromQL metric and label that gives its values, as ``metric, label``.
        rows: Panels by the title of their row: title, unit (as Grafana calls it) and PromQL by legend.
    """
    panels: list[dict[str, Any]] = []
    height = 0
    for row, members in rows.items():
        panels.append(
            {
                "type": "row",
                "title": row,
                "id": len(panels) + 1,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": height, "w": 24, "h": 1},
            }
        )
        height += 1
        for number, panel in enumerate(members):
            panels.append(
                {
                    "type": "timeseries",
                    "title": panel["title"],
                    "id": len(panels) + 1,
                    "datasource": _DATASOURCE,
                    "gridPos": {"x": number % _COLUMNS * _WIDTH, "y": height, "w": _WIDTH, "h": _HEIGHT},
                    "fieldConfig": {"defaults": {"unit": panel["unit"], "min": 0}, "overrides": []},
                    "options": {
                        "legend": {"displayMode": "list", "placement": "bottom"},
                        "tooltip": {"mode": "multi"},
                    },
                    "targets": [
                        {
                            "refId": chr(ord("A") + index),
                            "expr": query,
                            "legendFormat": legend,
                            "datasource": _DATASOURCE,
                        }
                        for index, (legend, query) in enumerate(panel["queries"].items())
                    ],
                }
            )
        height += _HEIGHT
    name, values = variable
    return {
        "uid": uid,
        "title": title,
        "tags": ["runrecord"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
                {
                    "name": name,
                    "type": "query",
                    "datasource": _DATASOURCE,
                    "query": f"label_values({values})",
                    "includeAll": True,
                    "multi": True,
                    "allValue": ".*",
                    "current": {"text": "All", "value": "$__all"},
                    "refresh": 2,
                },
                {
                    "name": "window",
                    "type": "custom",
                    "label": "Window",
                    "query": "5m,1h,1d",
                    "current": {"text": "1h", "value": "1h"},
                    "options": [
                        {"text": each, "value": each, "selected": each == "1h"} for each in ("5m", "1h", "1d")
                    ],
                },
            ]
        },
        "panels": panels,
    }


def main() -> None:
    """Write both; with ``--check`` only say which is not up to date."""
    for name, title, variable in (
        ("agents", "Runrecord: agents", ("agent", "runrecord_runs_total, gen_ai_agent_name")),
        ("gateway", "Runrecord: gateway", ("instance", "runrecord_intake_bytes, instance")),
    ):
        rows = yaml.safe_load((HERE / f"{name}.yaml").read_text())
        made = json.dumps(dashboard(f"runrecord-{name}", title, variable, rows), indent=1) + "\n"
        target = HERE / f"{name}.json"
        if "--check" not in sys.argv[1:]:
            target.write_text(made)
        elif target.read_text() != made:
            sys.exit(f"deploy/grafana/{target.name} is not up to date: run `make generate`")


if __name__ == "__main__":
    main()
