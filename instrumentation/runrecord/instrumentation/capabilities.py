# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The table of what each integration captures; the documentation is generated from it and the tests check it."""

import importlib
import pkgutil
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import cast

__all__ = ["Capabilities", "integrations", "markdown"]


@dataclass(frozen=True)
class Capabilities:
    """What one integration captures.

    Every value but the first two is ``yes`` (we make the record), ``native`` (the SDK or an official instrumentation
    makes the span and we enrich it) or ``no: <why>``; after ``yes`` and ``native`` a remark may follow in parentheses.
    """

    sdk: str
    versions: str
    run: str
    step: str
    tool_call: str
    policy_decision: str
    approval_request: str
    approval_decision: str
    resume_across_processes: str

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: A value is not of the three forms.
        """
        for name, value in self.items():
            word = value.split(" ", 1)[0]
            if word not in {"yes", "native"} and not (word == "no:" and len(value) > len("no: ")):
                raise ValueError(f"{self.sdk}: {name} must be yes, native or 'no: why', not {value!r}")

    def items(self) -> list[tuple[str, str]]:
        """Return (capability, value) without the first two."""
        return [(name, cast("str", value)) for name, value in asdict(self).items()][2:]


def integrations() -> dict[str, Capabilities]:
    """Return the table, by the name of the sub-package; no SDK is imported for it."""
    from runrecord import instrumentation  # noqa: PLC0415  # it imports this module's siblings

    found: dict[str, Capabilities] = {}
    for module in pkgutil.iter_modules(instrumentation.__path__):
        name = f"{instrumentation.__name__}.{module.name}.package"
        if module.ispkg and find_spec(name) is not None:
            package = importlib.import_module(name)
            found[module.name] = cast("Capabilities", package.CAPABILITIES)
    return dict(sorted(found.items()))


def markdown() -> str:
    """Return the table as Markdown, one row per integration."""
    table = list(integrations().values())
    if not table:
        return ""
    names = ["SDK", "versions", *(name.replace("_", " ") for name, _ in table[0].items())]
    rows = [[row.sdk, row.versions, *(value for _, value in row.items())] for row in table]
    lines = [names, ["---"] * len(names), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)
