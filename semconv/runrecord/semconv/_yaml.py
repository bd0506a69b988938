# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""YAML that remembers where each mapping stood, so that an error can name file, line and key."""

from pathlib import Path
from typing import Any, TypeGuard

from runrecord.semconv.errors import RegistryError

__all__ = ["Node", "known_keys", "load_yaml", "nodes", "prose", "text", "texts"]


class Node(dict[str, Any]):
    """A YAML mapping with the place it was read from.

    Attributes:
        path: the file.
        line: the line of the first key, from 1.
        lines: the line of each key.
    """

    path: Path
    line: int
    lines: dict[str, int]

    def problem(self, key: str, what: str, at: str = "") -> RegistryError:
        """Make the error that says ``what`` is wrong with ``key``, on the line of the YAML key ``at`` (or ``key``)."""
        return RegistryError.at(self.path, self.lines.get(at or key, self.line), key, what)


def load_yaml(path: Path) -> Node:
    """Read a YAML file whose top is a mapping.

    Raises:
        RegistryError: PyYAML is missing, or the file is not there, is not YAML, repeats a key or holds something else
            at the top.
    """
    try:
        import yaml  # noqa: PLC0415 - optional: only who reads the registry needs it
    except ImportError as error:
        raise RegistryError(
            [
                'reading a registry needs PyYAML, which is not installed; run: pip install "runrecord[redaction]"'
            ]
        ) from error

    try:
        with path.open(encoding="utf-8") as stream:
            document = yaml.load(stream, Loader=_loader(yaml, path))  # noqa: S506 - a subclass of a safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        raise RegistryError.at(path, line, "(yaml)", getattr(error, "problem", None) or "not YAML") from error
    except OSError as error:
        raise RegistryError.at(path, 1, "(file)", f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RegistryError.at(path, 1, "(file)", "is not UTF-8") from error
    except (ValueError, LookupError, ArithmeticError, AttributeError, TypeError) as error:
        raise RegistryError.at(path, 1, "(top)", "the file must hold a mapping") from error
    except RecursionError as error:
        raise RegistryError.at(path, 1, "(yaml)", "is nested too deeply") from error
    if not isinstance(document, Node):
        raise RegistryError.at(path, 1, "(top)", "the file must hold a mapping")
    return document


def _loader(yaml: Any, path: Path) -> Any:
    """Make a safe loader with our mappings, in C where PyYAML was built with it: ten times as fast."""

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """The safe loader of one file."""

    def construct(loader: Any, node: Any) -> Node:
        mapping = Node()
        mapping.path, mapping.line, mapping.lines = path, node.start_mark.line + 1, {}
        for key_node, value_node in node.value:
            key = _construct(loader, key_node, path, "(key)")
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise RegistryError.at(path, line, repr(key), "a key must be a string; quote it")
            if key in mapping:
                raise RegistryError.at(path, line, key, "the key is there twice; remove one")
            mapping[key] = _construct(loader, value_node, path, key)
            mapping.lines[key] = line
        return mapping

    Loader.add_constructor("tag:yaml.org,2002:map", construct)
    return Loader


def _construct(loader: Any, node: Any, path: Path, key: str) -> Any:
    try:
        return loader.construct_object(node, deep=True)
    except (ValueError, LookupError, ArithmeticError, AttributeError, TypeError) as error:
        # What PyYAML does with a 13th month, or with a tag that does not fit its value.
        problem = "the value is not what it looks like; quote it"
        raise RegistryError.at(path, node.start_mark.line + 1, key, problem) from error


def known_keys(node: Node, known: frozenset[str], where: str) -> None:
    """Refuse keys that are not ``known``: a key that is misspelt must not be ignored."""
    for key in node:
        if key not in known:
            raise node.problem(
                f"{where}.{key}", f"the key is not known here; known are {', '.join(sorted(known))}", at=key
            )


def nodes(node: Node, key: str) -> list[Node]:
    """Take a list of mappings; empty where the key is missing."""
    values = node.get(key, [])
    if not _is_list(values) or not all(isinstance(value, Node) for value in values):
        raise node.problem(key, "must be a list of mappings")
    return values


def text(node: Node, key: str) -> str:
    """Take a text that is not empty, with its white space folded."""
    value = node.get(key)
    if not isinstance(value, str) or not value.strip():
        raise node.problem(key, "must be there and be a text that is not empty")
    return " ".join(value.split())


def texts(node: Node, key: str) -> tuple[str, ...]:
    """Take a list of texts that is not empty."""
    values = node.get(key)
    if not _is_list(values) or not values or not all(isinstance(value, str) for value in values):
        raise node.problem(key, "must be a list of texts")
    return tuple(values)


def prose(node: Node, key: str) -> str:
    """Take a text, or an empty one where the key is missing."""
    return text(node, key) if key in node else ""


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
