# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The policy of `runrecord redact`: from a gateway's or an app's configuration, or from a file with a redaction section."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from os import environ
from pathlib import Path
from typing import Final

from runrecord.exporters.settings_model import Processors, Section
from runrecord.exporters.settings_problems import policy_problems, validate
from runrecord.exporters.settings_yaml import Document, Problem, is_mapping, load_yaml
from runrecord.processors import EngineUnavailableError, PolicyError
from runrecord.processors.redaction import RedactionPolicy, Redactor
from runrecord.semconv.commitment import load_tenant_key
from runrecord.semconv.errors import SemconvError

_EXPLAINED_KEY: Final = 32


class PolicyFileError(Exception):
    """The policy can't be used; the message has a line for each problem."""


class _PolicyFile(Section):
    redaction: RedactionPolicy


@dataclass(frozen=True)
class Policy:
    """A policy and the file it is from.

    Attributes:
        redactor: The policy, compiled.
        path: The file; None for the default policy.
        own_key: Whether pseudonyms are made with the tenant key; without one, they are made with a key of this run.
    """

    redactor: Redactor
    path: Path | None = None
    own_key: bool = True
    document: Document = field(default_factory=Document, repr=False)
    top: tuple[str, ...] = ()

    def place(self, line: str) -> str:
        """The file and line of a place in the policy like ``redaction.keys[0]``; the place itself if that isn't known."""
        keys = line.replace("[", ".").replace("]", "").split(".", 2)
        path: tuple[str | int, ...] = (*self.top, *keys[:2], *_rest(keys[1:2], keys[2:]))
        problem = self.document.problem(path, "")
        return f"{line} ({self.path}:{problem.line})" if self.path is not None and problem.line else line


def _rest(section: list[str], rest: list[str]) -> list[str | int]:
    if not rest:
        return []
    return [int(rest[0])] if section == ["keys"] and rest[0].isdigit() else [rest[0]]


def load_policy(path: Path | None, packs: tuple[str, ...] = ()) -> Policy:
    """Read and compile a policy.

    Args:
        path: A YAML file with `processors.redaction` or `redaction`; None for the default policy.
        packs: Packs instead of those of the policy.

    Raises:
        PolicyFileError: It can't be used.
    """
    document = Document() if path is None else load_yaml(path, environ)
    policy, top, problems = _validated(document, path)
    if policy is not None and packs:
        try:
            policy = RedactionPolicy.parse({**policy.model_dump(exclude_unset=True), "packs": packs})
        except PolicyError as error:
            raise PolicyFileError(str(error)) from None
    if policy is not None and not problems:
        problems = policy_problems(policy, document, (*top, "redaction"))
    if policy is None or problems:
        raise PolicyFileError("\n".join(problem.render(path) for problem in problems))
    key, own = _key(policy)
    try:
        return Policy(Redactor(policy, key), path, own, document, top)
    except (PolicyError, EngineUnavailableError) as error:
        raise PolicyFileError(str(error)) from None


def _validated(
    document: Document, path: Path | None
) -> tuple[RedactionPolicy | None, tuple[str, ...], list[Problem]]:
    if path is None:
        return RedactionPolicy(), (), []
    if document.problems:
        return None, (), document.problems
    value = document.value
    if is_mapping(value) and "processors" in value:
        settings, problems = validate(Processors, document, "processors")
        return (settings.redaction if settings else None), ("processors",), problems
    if is_mapping(value) and "redaction" in value:
        file, problems = validate(_PolicyFile, document)
        return (file.redaction if file else None), (), problems
    message = "must have a section processors.redaction, as a gateway's configuration has, or redaction"
    return None, (), [Problem(message, line=1, column=1)]


def _key(policy: RedactionPolicy) -> tuple[bytes, bool]:
    """The key of pseudonyms: the tenant's, or, where there is none, one that dies with this process."""
    if policy.needs_key:
        try:
            return load_tenant_key().pseudonym_key(), True
        except SemconvError:
            return secrets.token_bytes(_EXPLAINED_KEY), False
    return secrets.token_bytes(_EXPLAINED_KEY), True
