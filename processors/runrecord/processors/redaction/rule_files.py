# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Read rules from YAML files, and hold each to its own examples."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeGuard, get_args

import yaml

from runrecord.processors.errors import PolicyError
from runrecord.processors.redaction.boundaries import Left
from runrecord.processors.redaction.confirm import Confirmer, Work
from runrecord.processors.redaction.packs import templates
from runrecord.processors.redaction.rule import Action, Finder, Rule, Severity
from runrecord.processors.redaction.seeds import DigitAhead, number_start, strict_seed

_FIELDS = {field.name for field in fields(Rule)}
_TUPLES = ("keywords", "context", "examples", "counter_examples")
_EXAMPLES = ("examples", "counter_examples")
_REGEXES = ("seed", "exact")
_NUMBERS = ("digit_within",)
_FIELD = b"\x0a\x05"  # the tag and the length before a text; any length would do
_CHOICES: dict[str, tuple[str, ...]] = {
    "action": get_args(Action),
    "severity": get_args(Severity),
    "left": get_args(Left),
    "finder": get_args(Finder),
}


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_mapping(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def rule_from_mapping(data: Mapping[str, Any], where: str) -> Rule:
    """Make a rule from the mapping of a rule file.

    Args:
        data: The fields of :class:`Rule`; ``id``, ``seed``, ``exact`` and ``examples`` are required. Regexes and
            examples may use the short forms of :mod:`.packs.templates`.
        where: What to call the mapping in errors, like ``rules.yaml, rule 3``.

    Raises:
        PolicyError: A field is unknown, missing or unusable, or an example is not found.
    """
    unknown = sorted(set(data) - _FIELDS, key=str)  # YAML keys need not be text
    if unknown:
        raise PolicyError(f"{where}: unknown field {unknown[0]!r}; a rule has {', '.join(sorted(_FIELDS))}")
    missing = [name for name in ("id", "seed", "exact", "examples") if not data.get(name)]
    if missing:
        raise PolicyError(f"{where}: {missing[0]!r} is missing")
    values: dict[str, Any] = dict(data)
    for name, value in values.items():
        if name in _TUPLES:
            texts = [str(item) for item in (value if _is_list(value) else [value])]
            values[name] = tuple(map(templates.example, texts) if name in _EXAMPLES else texts)
        elif name in _NUMBERS:
            if not isinstance(value, int) or value < 0:
                raise PolicyError(f"{where}: {name!r} must be a whole number, 0 or more")
        elif value is not None and not isinstance(value, str):
            raise PolicyError(f"{where}: {name!r} must be text")
        elif name in _CHOICES and value not in _CHOICES[name]:
            raise PolicyError(f"{where}: {name!r} must be one of {', '.join(_CHOICES[name])}")
        elif name in _REGEXES:
            values[name] = _filled_in(str(value), f"{where}: {name!r}")
    rule = Rule(**values)
    rule.check()
    return rule


def _filled_in(regex: str, where: str) -> str:
    try:
        return templates.regex(regex)
    except KeyError as error:
        raise PolicyError(
            f"{where}: no short form {error.args[0]!r}; there are {', '.join(templates.PIECES)}"
        ) from None


def check_examples(rule: Rule, where: str) -> None:
    """Hold a rule to its examples and counter-examples.

    Raises:
        PolicyError: An example is not found, or a counter-example is; the message says which, by its number.
    """
    confirmer = Confirmer([rule])
    seed, strict = (
        re.compile(regex.encode("latin-1"), re.DOTALL) for regex in (rule.seed, strict_seed(rule.seed))
    )
    digit_ahead = DigitAhead(rule.digit_within)
    work = Work(leaf_limit=10_000, request_limit=100_000)
    for number, example in enumerate(rule.examples, start=1):
        if not confirmer.find(example.encode(), [0], work):
            raise PolicyError(
                f"{where}: example {number} is not found; mend 'exact', 'keywords' or the example"
            )
        if not seed.search(example.encode()):
            raise PolicyError(f"{where}: example {number} has no match of the seed, so a scan would miss it")
        if rule.left == "number" and not all(
            strict.search(_FIELD + candidate.group()) for candidate in rule.pattern.finditer(example.encode())
        ):
            raise PolicyError(
                f"{where}: the seed does not begin where the match in example {number} does; "
                "with 'left: number', put what may come first into the seed, too"
            )
        if number_start(rule) and not all(
            seed.match(candidate.group()) for candidate in rule.pattern.finditer(example.encode())
        ):
            raise PolicyError(f"{where}: the match in example {number} does not begin with the seed")
        if rule.digit_within and not all(
            any(digit_ahead(text, hit.end()) for hit in seed.finditer(text))
            for text in (candidate.group() for candidate in rule.pattern.finditer(example.encode()))
        ):
            raise PolicyError(f"{where}: the digit in example {number} is not within 'digit_within' bytes")
    for number, example in enumerate(rule.counter_examples, start=1):
        if confirmer.find(example.encode(), [0], work):
            raise PolicyError(f"{where}: counter-example {number} is found; narrow 'exact'")


def load_rules(path: Path) -> tuple[Rule, ...]:
    """Read a rule file: YAML with a list of rules, or a mapping with the key ``rules``.

    Raises:
        PolicyError: The file cannot be read, or a rule in it is unusable.
    """
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyError(f"rule file {path.name}: cannot be read ({type(error).__name__})") from error
    items: Any = data.get("rules") if _is_mapping(data) else data
    if not _is_list(items):
        raise PolicyError(
            f"rule file {path.name}: expected a list of rules, or a mapping with the key 'rules'"
        )
    rules: list[Rule] = []
    for index, item in enumerate(items):
        where = f"rule file {path.name}, rule {index + 1}"
        if not _is_mapping(item):
            raise PolicyError(f"{where}: expected a mapping")
        rule = rule_from_mapping(item, where)
        check_examples(rule, where)
        rules.append(rule)
    return tuple(rules)
