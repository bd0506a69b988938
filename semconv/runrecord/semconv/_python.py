# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Write the Python constants of the registry."""

import json
import re
import textwrap
from collections.abc import Iterable

from runrecord.semconv._model import Attribute, Registry

__all__ = [
    "attributes_module",
    "constant_name",
    "enum_name",
    "init_module",
    "metrics_module",
    "signals_module",
]

PREFIX = "runrecord."
_WIDTH = 110
_SECRETIVE = re.compile(r"(^|_)(PAS+WO?R?D|PASS(PHRASE)?|PWD|TOKEN|SECRETE?)($|_)")
"""Names that ruff's S105 takes for those of passwords."""


def constant_name(key: str) -> str:
    """Name the constant of an attribute: ours without ``runrecord.``, official ones in full."""
    return key.removeprefix(PREFIX).replace(".", "_").upper()


def enum_name(key: str) -> str:
    """Name the enumeration of an attribute: ``runrecord.side_effect.type`` gives ``SideEffectType``."""
    words = key.removeprefix(PREFIX).replace(".", "_").split("_")
    return "".join(word.capitalize() for word in words)


def init_module(registry: Registry, header: str) -> str:
    """Write the ``__init__`` of the package of a registry that is not ours."""
    return (
        _top(header, f"{registry.description.rstrip('.')}.")
        + "from typing import Final\n\n"
        + '__all__ = ["SCHEMA_URL"]\n\n'
        + f'SCHEMA_URL: Final = "{registry.schema_url}"\n'
        + _docstring(
            ["Which registry this is, and which version of it; for tracers, loggers and meters."], ""
        )
    )


def attributes_module(attributes: Iterable[Attribute], header: str) -> str:
    """Write the module with one constant per attribute and one enumeration per closed list of values."""
    attributes = sorted(attributes, key=lambda attribute: (attribute.official, attribute.key))
    names = [constant_name(attribute.key) for attribute in attributes]
    enums = [enum_name(attribute.key) for attribute in attributes if attribute.members]
    if not names:
        return ""
    members = [member.id.upper() for attribute in attributes for member in attribute.members]
    secretive = any(_SECRETIVE.search(name) for name in [*names, *members])
    parts = [
        _top(header, "The attribute keys of the conventions, and the values of the closed ones."),
        "# ruff: noqa: S105 - an outcome may be called pass\n\n" if secretive else "",
        "from enum import Enum\n" if enums else "",
        "from typing import Final\n\n",
        *_all(sorted([*names, *enums], key=_sort_key)),
        "\n",
    ]
    parts += [_constant(attribute) for attribute in attributes]
    parts += [_enum(attribute) for attribute in attributes if attribute.members]
    return "".join(parts)


def signals_module(registry: Registry, header: str) -> str:
    """Write the module with the names of the log events and the first words of the span names."""
    # A refinement of another registry's signal keeps its name, whose constant that registry has; official ones have none.
    named = [item for item in registry.own_signals if not item.ref or item.ref in registry.official]
    first = {signal.name.split()[0]: signal for signal in reversed(named)}
    events = sorted(name for name, signal in first.items() if signal.form == "event" and not signal.ref)
    # A span whose first word is an attribute, as that of a model call, has no constant.
    spans = sorted(word for word, signal in first.items() if signal.form == "span" and word.isidentifier())
    constants = [(f"EVENT_{constant_name(name)}", name) for name in events]
    constants += [(f"SPAN_{name.upper()}", name) for name in spans]
    if not constants:
        return ""
    parts = [
        _top(header, "The names of the log events, and the first words of the span names."),
        "from typing import Final\n\n",
        *_all(sorted(name for name, _ in constants)),
    ]
    for name, value in constants:
        signal = first[value]
        facts = f"Stability: {signal.stability}."
        if signal.form == "span":
            facts = f"Name pattern: ``{signal.name}``, kind: {signal.kind}. {facts}"
        parts.append(f'\n{name}: Final = "{value}"\n' + _docstring([signal.brief, facts], ""))
    return "".join(parts)


def metrics_module(registry: Registry, header: str) -> str:
    """Write the module with the names, units and instruments of the metrics."""
    metrics = {constant_name(metric.name): metric for metric in registry.own_metrics if not metric.ref}
    if not metrics:
        return ""
    parts = [
        _top(header, "The names of the metrics, with the unit and the brief of each."),
        "from collections.abc import Mapping\nfrom typing import Final\n\n",
        *_all(sorted([*metrics, "BRIEFS", "UNITS"])),
    ]
    for name, metric in sorted(metrics.items(), key=lambda item: item[0]):
        facts = f"Instrument: {metric.instrument}, unit: ``{metric.unit}``. Stability: {metric.stability}."
        paragraphs = [metric.brief, *([metric.note] if metric.note else []), facts]
        parts.append(f'\n{name}: Final = "{metric.name}"\n' + _docstring(paragraphs, ""))
    parts.append("\nUNITS: Final[Mapping[str, str]] = {\n")
    parts += [f'    {name}: "{metrics[name].unit}",\n' for name in sorted(metrics)]
    parts.append('}\n"""The unit of each metric, by its name."""\n')
    parts.append("\nBRIEFS: Final[Mapping[str, str]] = {\n")
    parts += [f"    {name}: {json.dumps(metrics[name].brief)},\n" for name in sorted(metrics)]
    parts.append('}\n"""What each metric measures, by its name: the description of its instrument."""\n')
    return "".join(parts)


def _all(names: list[str]) -> list[str]:
    return ["__all__ = [\n", *(f'    "{name}",\n' for name in names), "]\n"]


def _top(header: str, purpose: str) -> str:
    return f'{header}"""{purpose}"""\n\n'


def _sort_key(name: str) -> tuple[int, str]:
    """Order names as ruff's RUF022 does: constants first, then classes."""
    return (0 if name.isupper() else 1, name)


def _constant(attribute: Attribute) -> str:
    kind = f"One of :class:`{enum_name(attribute.key)}`" if attribute.members else f"Type: {attribute.type}"
    origin = "Official attribute" if attribute.official else "Stability"
    facts = f"{kind}. {origin}: {attribute.stability}."
    if attribute.deprecated:
        facts += f" Deprecated{f'; use {attribute.renamed_to}' if attribute.renamed_to else ''}."
    if attribute.examples:
        facts += f" Examples: {', '.join(repr(example) for example in attribute.examples)}."
    paragraphs = [attribute.brief, *([attribute.note] if attribute.note else []), facts]
    return f'\n{constant_name(attribute.key)}: Final = "{attribute.key}"\n' + _docstring(paragraphs, "")


def _enum(attribute: Attribute) -> str:
    facts = f"Values of ``{attribute.key}``; a reader keeps values it does not know. Stability: {attribute.stability}."
    lines = [f"\n\nclass {enum_name(attribute.key)}(str, Enum):\n"]
    lines.append(_docstring([attribute.brief, facts], "    "))
    lines += [
        f"\n    {member.id.replace('.', '_').upper()} = {json.dumps(member.value)}\n"
        + (_docstring([member.brief], "    ") if member.brief else "")
        for member in attribute.members
    ]
    return "".join(lines)


def _docstring(paragraphs: list[str], indent: str) -> str:
    width = _WIDTH - len(indent) - 3
    escaped = [paragraph.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') for paragraph in paragraphs]
    wrapped = [textwrap.wrap(paragraph, width, break_long_words=False) for paragraph in escaped]
    body = "\n\n".join("\n".join(lines) for lines in wrapped)
    text = f'"""{body}"""' if "\n" not in body and len(body) <= width - 3 else f'"""{body}\n"""'
    return textwrap.indent(text, indent) + "\n"
