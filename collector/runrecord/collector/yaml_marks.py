# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""YAML with the place of every key, and with environment variables filled in after parsing.

Substitution works on scalars that are already parsed, so a variable can't add keys to the file. ``$$`` is a dollar sign.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from runrecord.collector.errors import Problem

_VARIABLE = re.compile(r"\$(?:(\$)|\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\{[^}]*\}?))")

_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"

Path = tuple[str | int, ...]


@dataclass
class Document:
    """A parsed file.

    Attributes:
        value: What it says, as dicts, lists and scalars.
        keys: For each path the line and column of its key (from 1).
        problems: What was wrong with the YAML itself.
    """

    value: Any = None
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict[Path, tuple[int, int]])
    problems: list[Problem] = field(default_factory=list[Problem])

    def place(self, path: Path) -> tuple[int, int]:
        """Return line and column of the key at a path, or of the nearest key above it."""
        while path and path not in self.keys:
            path = path[:-1]
        return self.keys.get(path, (0, 0))


def read_yaml(text: str, environment: Mapping[str, str]) -> Document:
    """Parse a configuration.

    Args:
        text: The file.
        environment: Where ``${env:NAME}`` looks.

    Returns:
        The document; if it has problems, its value may lack the parts they concern.
    """
    document = Document()
    loader: Any = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is not None:
            _Walk(document, loader, environment).visit(node, ())
            document.value = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        document.problems.append(Problem(f"not valid YAML: {_say(error)}", line=line, column=column))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        document.problems.append(Problem(f"not valid YAML ({type(error).__name__})", line=1, column=1))
    finally:
        loader.dispose()
    return document


def _say(error: yaml.MarkedYAMLError) -> str:
    if isinstance(error, ComposerError):  # its text quotes what is in the file
        return "there is no anchor of this name, or there are two"
    if isinstance(error, ConstructorError):
        return "tags (!...) and keys that are no text are not allowed"
    return str(error.problem)


class _Walk:
    def __init__(self, document: Document, loader: Any, environment: Mapping[str, str]) -> None:
        self._document = document
        self._loader = loader
        self._environment = environment
        self._path_of: dict[int, Path] = {}

    def visit(self, node: yaml.Node, path: Path) -> None:
        if id(node) in self._path_of:  # an alias: filled in where its anchor is
            return
        self._path_of[id(node)] = path
        self._document.keys.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.MappingNode):
            self._mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.visit(item, (*path, index))
        elif isinstance(node, yaml.ScalarNode):
            self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> None:
        for key, value in node.value:
            name = "?"
            if isinstance(key, yaml.ScalarNode):
                name = str(key.value)
                if key.tag != _MERGE:
                    key.tag = _TEXT  # `on:` and `1:` are names like any other
            here = (*path, name)
            line, column = key.start_mark.line + 1, key.start_mark.column + 1
            if here in self._document.keys:
                first = self._document.keys[here][0]
                self._problem(f"is here a second time (first in line {first})", here, line, column)
            self._document.keys[here] = (line, column)
            self.visit(value, here)

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> None:
        if "$" not in node.value:
            return
        line, column = node.start_mark.line + 1, node.start_mark.column + 1

        def fill(match: re.Match[str]) -> str:
            dollar, name, default, other = match.groups()
            if dollar:
                return "$"
            if other:
                self._problem(
                    "only ${env:NAME} and ${env:NAME:-default} are known; $$ is a dollar sign",
                    path,
                    line,
                    column,
                )
                return ""
            found = self._environment.get(name) or default
            if found is None:
                self._problem(f"the environment variable {name} is not set", path, line, column)
            return found or ""

        node.value = _VARIABLE.sub(fill, node.value)
        if node.style is None:  # plain: 4317 from a variable is a number, as it would be in the file
            node.tag = self._loader.resolve(yaml.ScalarNode, node.value, (True, False))

    def _problem(self, message: str, path: Path, line: int, column: int) -> None:
        key = ".".join(map(str, path))
        self._document.problems.append(Problem(message, key=key, line=line, column=column))
