# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From a parsed file to a configuration, or to everything that is wrong with it, in words for people.

Unknown keys are looked for first, all over the file, and left out of what pydantic sees; so one of them hides nothing else.
What pydantic finds is said again in the words of a configuration file, at the place in it. No message repeats a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from runrecord.exporters.settings_yaml import Document, KeyPath, Problem, is_mapping, is_sequence
from runrecord.processors.redaction import RedactionPolicy, check_policy

Model = TypeVar("Model", bound=BaseModel)

_QUOTED: Final = re.compile(r"'([^']*)'")
_WANTED: Final = {
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "a mapping"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list"),
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "finite_number": "a finite number",
    "string_type": "text",
    "path_type": "a path",
}
_LIMITS: Final = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def validate(model: type[Model], document: Document, *top: str) -> tuple[Model | None, list[Problem]]:
    """Validate a file.

    Args:
        model: What it should be.
        document: The file.
        top: The path of the section that is validated; the whole file by default.

    Returns:
        The configuration, None if it can't be made, and every problem found.
    """
    unknown = _UnknownKeys(document)
    value = document.value
    for key in top:
        value = value.get(key) if is_mapping(value) else None
    value = unknown.without(model, {} if value is None else value, top)
    try:
        return model.model_validate(value), unknown.problems
    except ValidationError as error:
        return None, [*unknown.problems, *_translate(error, value, document, top)]


def policy_problems(
    policy: RedactionPolicy, document: Document, section: tuple[str, ...] = ("processors", "redaction")
) -> list[Problem]:
    """Find what would keep a valid policy from being used: names of rules, rule files, the engine.

    Args:
        policy: The section ``processors.redaction``.
        document: The file it is from, for places.
        section: Where the section is in it.

    Returns:
        The problems. A missing key for pseudonyms is none: it is no business of the file.
    """
    return [
        document.problem((*section, *found.path), found.message, found.nearest)
        for found in check_policy(policy)
    ]


def nearest(name: object, valid: Iterable[str]) -> str:
    """Return the valid name that somebody may have meant; empty if none is near."""
    return next(iter(get_close_matches(str(name), list(valid), n=1, cutoff=0.5)), "")


# -- unknown keys ------------------------------------------------------------------------------------------------------


class _UnknownKeys:
    def __init__(self, document: Document) -> None:
        self._document = document
        self.problems: list[Problem] = []

    def without(self, annotation: Any, value: Any, path: KeyPath) -> Any:
        """Return a value without the keys that its type does not have, and note each of them."""
        options = _options(annotation)
        if is_sequence(value):
            item = next(
                (get_args(option)[0] for option in options if get_origin(option) in {tuple, list}), None
            )
            return [self.without(item, each, (*path, index)) for index, each in enumerate(value)]
        if not is_mapping(value):
            return value
        for option in options:
            if get_origin(option) is dict:
                inner = get_args(option)[1]
                return {key: self.without(inner, each, (*path, key)) for key, each in value.items()}
        model = _model_for(options, path)
        return value if model is None else self._section(model, value, path)

    def _section(self, model: type[BaseModel], section: dict[Any, Any], path: KeyPath) -> dict[Any, Any]:
        fields = {name: field.annotation for name, field in model.model_fields.items() if name != "kind"}
        known: dict[Any, Any] = {}
        for key, value in section.items():
            if key in fields:
                known[key] = self.without(fields[key], value, (*path, key))
            else:
                message = f"unknown key; valid here: {', '.join(sorted(fields))}"
                self.problems.append(self._document.problem((*path, key), message, nearest(key, fields)))
        return known


def _options(annotation: Any) -> list[Any]:
    """List the types that a value may have."""
    if get_origin(annotation) is Annotated:
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return [option for part in get_args(annotation) for option in _options(part)]
    return [annotation]


def _model_for(options: list[Any], path: KeyPath) -> type[BaseModel] | None:
    """Choose the model of a section; where there are several kinds, the name of the section begins with the kind."""
    for option in options:
        if isinstance(option, type) and issubclass(option, BaseModel):
            kind = option.model_fields.get("kind")
            if kind is None or kind.default == str(path[-1]).partition("/")[0]:
                return option
    return None


# -- what pydantic found -----------------------------------------------------------------------------------------------


def _translate(error: ValidationError, value: Any, document: Document, top: KeyPath) -> Iterator[Problem]:
    for found in error.errors(include_url=False, include_input=False):
        path, last = _in_file(found["loc"], value)
        kind, context = found["type"], found.get("ctx", {})
        if kind == "too_short" and last:
            continue  # it is so short because of items that are wrong, and those have problems of their own
        near = ""
        if kind == "missing":
            path, message = (*path, found["loc"][-1]), "is required"
        elif kind == "union_tag_invalid":
            kinds = _QUOTED.findall(str(context["expected_tags"]))
            name, slash, rest = str(path[-1]).partition("/")
            section = str(path[-2]).removesuffix("s")
            message = f"unknown kind of {section}; there are {', '.join(kinds)}"
            near = (best := nearest(name, kinds)) and best + slash + rest
        elif kind in {"literal_error", "enum"}:
            names = _QUOTED.findall(str(context["expected"]))
            if found["loc"][-1] == "[key]":
                message, near = (
                    f"unknown {_one_of(path[-2])}; there are {', '.join(names)}",
                    nearest(path[-1], names),
                )
            else:
                message = f"must be {context['expected']}"
                near = nearest(last, names) if isinstance(last, str) else ""
        else:
            message = _say(kind, context, found["msg"], path, last)
        yield document.problem((*top, *path), message, near)


def _in_file(location: tuple[str | int, ...], value: Any) -> tuple[KeyPath, Any]:
    """Leave out of a location what pydantic adds to it (tags of unions, ``[key]``); return the value there too."""
    path: KeyPath = ()
    for part in location:
        if is_mapping(value) and part in value:  # noqa: SIM114 - the types differ
            path, value = (*path, part), value[part]
        elif is_sequence(value) and isinstance(part, int):
            path, value = (*path, part), value[part]
    return path, value


def _say(kind: str, context: Mapping[str, Any], message: str, path: KeyPath, value: Any) -> str:
    if kind in _WANTED:
        return f"must be {_WANTED[kind]}{_but(_WANTED[kind], value)}"
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"must be {words} {context[name]:g}"
    if kind == "too_short":
        return f"name at least one {_one_of(path[-1])}"
    if kind == "string_too_short":
        return "must not be empty"
    return message.removeprefix("Value error, ")


def _but(wanted: str, value: Any) -> str:
    """Say what there is instead, without the value itself."""
    if value is None:
        return "; it has no value"
    if isinstance(value, bool):
        found = str(value).lower()
    elif isinstance(value, (int, float)):
        found = "a number"
    elif isinstance(value, str):
        found = "text"
    else:
        found = "a list" if is_sequence(value) else "a mapping" if is_mapping(value) else "a date"
    if found in wanted or (found == "a number" and "number" in wanted):
        return ""
    quotes = (
        "; put it in quotes" if wanted in {"text", "a path"} and found not in {"a list", "a mapping"} else ""
    )
    return f", not {found}{quotes}"


def _one_of(plural: object) -> str:
    return str(plural).removesuffix("s")
