# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where generated files go, what they are called and what stands at their top."""

from dataclasses import dataclass
from pathlib import Path

from runrecord.semconv._model import Metric, Registry, Signal

__all__ = ["Target", "own_target", "stem", "team_target"]

_OURS = "runrecord."


@dataclass(frozen=True)
class Target:
    """Where the files generated from one registry go.

    Attributes:
        package: the directory of the constants, the JSON Schemas and the schema file.
        pages: the directory of the reference pages.
        header: the comment at the top of Python and YAML.
        mark: the first line of every page, by which a page that is no longer wanted is known.
        about: what the index says about the registry and the constants.
        first_version: the first version that the schema file lists, or empty.
        ours: it is the registry that comes with the package, with the table of bridges.
    """

    package: Path
    pages: Path
    header: str
    mark: str
    about: str
    first_version: str
    ours: bool

    @property
    def schemas(self) -> Path:
        """The directory of the JSON Schemas."""
        return self.package / "json_schemas"


def own_target() -> Target:
    """Say where the files of our own registry go, below the root of the source tree."""
    command = "python -m runrecord.semconv.generate"
    return Target(
        package=Path("semconv", "runrecord", "semconv"),
        pages=Path("docs", "conventions"),
        header="# SPDX-FileCopyrightText: The Runrecord authors\n"
        "# SPDX-License-Identifier: Apache-2.0\n"
        f"# Generated from registry/*.yaml by: {command}. Do not edit.\n",
        mark=f"<!-- Generated from the registry by: {command}. Do not edit. -->",
        about="The registry in [`semconv/runrecord/semconv/registry`](../../semconv/runrecord/semconv/registry) is the source of\n"
        "these pages, of the Python constants in `runrecord.semconv.attributes`, `.signals` and `.metrics`, and of the JSON\n"
        "Schemas that `runrecord.semconv.json_schema` loads; its files are in the format `definition/2` of OpenTelemetry's registry\n"
        "tooling and valid by the JSON Schemas of that. What corresponds to open upstream proposals is in\n"
        "[bridges.md](bridges.md); how a team adds attributes and signals of its own, in\n"
        "[examples/extending](../../examples/extending/README.md).",
        first_version="0.1.0",
        ours=True,
    )


def team_target(registry: Registry) -> Target:
    """Say where the files of any other registry go, below the directory that the caller names.

    What stands in comments at the top of its manifest, for instance a licence, stands at the top of Python and YAML.
    """
    source = f"Generated from the registry {registry.schema_url} by: runrecord generate. Do not edit."
    return Target(
        package=Path(),
        pages=Path("docs"),
        header=f"{registry.preamble}# {source}\n",
        mark=f"<!-- {source} -->",
        about="The constants are in `attributes.py`, `signals.py` and `metrics.py`, the JSON Schemas in `json_schemas`.",
        first_version="",
        ours=False,
    )


def stem(item: Signal | Metric) -> str:
    """Name the page and the JSON Schema of a signal or a metric, without the ending: ours without ``runrecord.``."""
    name = item.id.removeprefix(_OURS).replace(".", "-").replace("_", "-")
    return f"metric-{name}" if isinstance(item, Metric) else name
