# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""YAML with the place of every key, and with environment variables filled in after parsing: for the gateway and for apps.

Substitution works on scalars that are already parsed, so a variable can't add keys to the file. ``$$`` is a dollar sign.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

_VARIABLE = re.compile(r"\$(?:(\$)|\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\{[^}]*\}?))")

_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"

KeyPath = tuple[str | int, ...]
"""Where a value is: the keys and indices from the top of the file."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a configuration file.

    Attributes:
        message: What is wrong; never a value that may be a secret.
        key: The key, with dots, from the top of the file.
        line: Line in the file, from 1; 0 if it belongs to no line.
        column: Column in the line, from 1.
        nearest: The valid key that the reader may have meant.
    """

    message: str
    key: str = ""
    line: int = 0
    column: int = 0
    nearest: str = ""

    def render(self, file: str | os.PathLike[str] | None) -> str:
        """Write it the way compilers do, so that editors can jump to it."""
        place = ":".join([str(file or "configuration"), *(str(n) for n in (self.line, self.column) if n)])
        key = f" {self.key}:" if self.key else ""
        hint = f" (did you mean {self.nearest!r}?)" if self.nearest else ""
        return f"{place}:{key} {self.message}{hint}"


@dataclass
class Document:
    """A parsed file.

    Attributes:
        value: What it says, as dicts, lists and scalars.
        keys: For each path the line and column of its key (from 1).
        problems: What was wrong with the YAML itself.
    """

    value: Any = None
    keys: dict[KeyPath, tuple[int, int]] = field(default_factory=dict[KeyPath, tuple[int, int]])
    problems: list[Problem] = field(default_factory=list[Problem])

    def problem(self, path: KeyPath, message: str, nearest: str = "") -> Problem:
        """Make a problem with the place of a key, or with that of the nearest key above it.

        Args:
            path: The key.
            message: What is wrong.
            nearest: The valid name that may have been meant.
        """
        known = path
        while known and known not in self.keys:
            known = known[:-1]
        line, column = self.keys.get(known, (0, 0))
        return Problem(message, ".".join(map(str, path)), line, column, nearest)


def load_yaml(file: str | os.PathLike[str], environment: Mapping[str, str]) -> Document:
    """Read and parse a file, as `read_yaml` does."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError as error:
        return Document(problems=[Problem(f"can't be read ({error.strerror})")])
    except UnicodeDecodeError:
        return Document(problems=[Problem("is not UTF-8 text")])
    return read_yaml(text, environment)


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
        self._path_of: dict[int, KeyPath] = {}

    def visit(self, node: yaml.Node, path: KeyPath) -> None:
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

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> None:
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

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> None:
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

    def _problem(self, message: str, path: KeyPath, line: int, column: int) -> None:
        key = ".".join(map(str, path))
        self._document.problems.append(Problem(message, key=key, line=line, column=column))


def is_mapping(value: Any) -> TypeGuard[dict[Any, Any]]:
    """Say whether a value of unknown origin is a mapping."""
    return isinstance(value, dict)


def is_sequence(value: Any) -> TypeGuard[list[Any]]:
    """Say whether a value of unknown origin is a list."""
    return isinstance(value, list)
