# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Write the telemetry schema file (format 1.1.0) from which a reader learns what was renamed in which version.

Source of the format: OpenTelemetry specification, schemas/file_format_v1.1.0.md.
"""

import re
from collections.abc import Iterable

from runrecord.semconv._model import Attribute, Metric, Registry

__all__ = ["schema_file"]


def schema_file(registry: Registry, header: str, first_version: str = "") -> str:
    """Write the schema file of the registry's version: all versions, newest first, with the renames that each made."""
    attributes, metrics = _renames(registry.own_attributes), _renames(registry.own_metrics)
    versions = {registry.version, *attributes, *metrics, *([first_version] if first_version else [])}
    lines = [header + "file_format: 1.1.0", f"schema_url: {registry.schema_url}", "versions:"]
    for version in sorted(versions, key=_numbers, reverse=True):
        changes = [
            *_section("all", "rename_attributes", "attribute_map", attributes.get(version, {})),
            *_section("metrics", "rename_metrics", "", metrics.get(version, {})),
        ]
        lines += [f"  {version}:", *changes] if changes else [f"  {version}: {{}}"]
    return "\n".join(lines) + "\n"


def _renames(items: Iterable[Attribute | Metric]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for item in items:
        if item.renamed_to:
            name = item.key if isinstance(item, Attribute) else item.name
            found.setdefault(item.renamed_in, {})[name] = item.renamed_to
    return found


def _section(section: str, change: str, inner: str, names: dict[str, str]) -> list[str]:
    if not names:
        return []
    lines = [f"    {section}:", "      changes:", f"        - {change}:"]
    if inner:
        lines.append(f"            {inner}:")
    indent = " " * (14 if inner else 12)
    return lines + [f"{indent}{old}: {new}" for old, new in sorted(names.items())]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", version))
