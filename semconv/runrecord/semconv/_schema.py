# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Write the telemetry schema file (format 1.1.0) from which a reader learns what was renamed in which version.

Source of the format: OpenTelemetry specification, schemas/file_format_v1.1.0.md.
"""

from runrecord.semconv.registry import Registry

__all__ = ["schema_file"]

_FIRST_VERSION = "0.1.0"


def schema_file(registry: Registry) -> str:
    """Write the schema file of the registry's version: all versions, newest first, with the renames that each made."""
    renames: dict[str, dict[str, str]] = {registry.version: {}, _FIRST_VERSION: {}}
    for attribute in registry.attributes.values():
        if attribute.renamed_to:
            renames.setdefault(attribute.renamed_in, {})[attribute.key] = attribute.renamed_to
    lines = [
        "# SPDX-FileCopyrightText: The Runrecord authors",
        "# SPDX-License-Identifier: Apache-2.0",
        "# Generated from the registry by: python -m runrecord.semconv.generate. Do not edit.",
        "file_format: 1.1.0",
        f"schema_url: {registry.schema_url}",
        "versions:",
    ]
    for version in sorted(renames, key=_numbers, reverse=True):
        if not renames[version]:
            lines.append(f"  {version}: {{}}")
            continue
        lines += [
            f"  {version}:",
            "    all:",
            "      changes:",
            "        - rename_attributes:",
            "            attribute_map:",
        ]
        lines += [f"              {old}: {new}" for old, new in sorted(renames[version].items())]
    return "\n".join(lines) + "\n"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
