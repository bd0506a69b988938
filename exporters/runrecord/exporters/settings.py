# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The policy of an app: the gateway's own file, read in the process.

`RUNRECORD_CONFIG` names a `runrecord.yaml`; of it, `processors.redaction` and `processors.compat` apply here. Without it
the default policy applies: the packs `secrets` and `pii`, and the OpenInference attributes.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import environ
from typing import Final

from runrecord.exporters.errors import ExporterError
from runrecord.exporters.pipeline import Processor, Redacts
from runrecord.exporters.settings_model import Processors
from runrecord.exporters.settings_problems import policy_problems, validate
from runrecord.exporters.settings_yaml import Document, Problem, is_mapping, load_yaml
from runrecord.processors import PolicyError, compat
from runrecord.processors.redaction import RedactionQuarantine, Redactor
from runrecord.semconv.commitment import load_tenant_key
from runrecord.semconv.errors import SemconvError

RUNRECORD_CONFIG: Final = "RUNRECORD_CONFIG"
"""Environment variable: the path of a `runrecord.yaml`."""


class SettingsError(ExporterError):
    """The file that ``RUNRECORD_CONFIG`` names can't be used; nothing is exported without a policy.

    Attributes:
        problems: Everything that was found.
    """

    def __init__(self, path: str, problems: Sequence[Problem]) -> None:
        """Render every problem on a line of its own, with file, line and column."""
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(problem.render(path) for problem in problems),
            next_step=f"correct the file that {RUNRECORD_CONFIG} names; check it with: runrecord validate {path}",
        )


@dataclass(frozen=True)
class Protection:
    """What stands in front of the exporters of this process.

    Attributes:
        redactor: One for all signals; thread-safe.
        processors: What runs after it.
        source: Where the policy came from: a path, or `default`.
    """

    redactor: Redacts = field(repr=False)
    processors: tuple[Processor, ...]
    source: str


_lock: Final = threading.Lock()
_loaded: Final[dict[str, Protection]] = {}


def load_protection() -> Protection:
    """Return the protection of this process, made once per configuration file.

    Raises:
        SettingsError: The configuration file can't be read or is not valid.
        ProcessorError: The policy can't be compiled.
    """
    path = environ.get(RUNRECORD_CONFIG, "").strip()
    with _lock:
        if path not in _loaded:
            _loaded[path] = _make(path)
        return _loaded[path]


def _make(path: str) -> Protection:
    settings, document = _read(path) if path else (Processors(), Document())
    policy = settings.redaction
    if path and (problems := policy_problems(policy, document)):
        raise SettingsError(path, problems)
    try:
        keyed = policy.needs_key or bool(policy.rule_files) or policy.on_error == "quarantine"
        key = _pseudonym_key() if keyed else None
        redactor = Redactor(policy, key, quarantine=RedactionQuarantine.make(policy, key))
    except PolicyError as error:
        if not path:
            raise
        raise SettingsError(path, [document.problem(("processors", "redaction"), str(error))]) from None
    wanted = settings.compat is None or settings.compat.openinference
    return Protection(redactor, (compat.openinference,) if wanted else (), path or "default")


def _read(path: str) -> tuple[Processors, Document]:
    """Read the one section that counts here; what is wrong in the others, or not set here, is the gateway's business."""
    document = load_yaml(path, environ)
    problems = [
        problem for problem in document.problems if problem.key.partition(".")[0] in {"", "processors"}
    ]
    if not problems and not is_mapping(document.value):
        problems = [Problem("must be a mapping with a section processors", line=1, column=1)]
    if not problems:
        settings, problems = validate(Processors, document, "processors")
        if settings is not None and not problems:
            return settings, document
    raise SettingsError(path, problems)


def _pseudonym_key() -> bytes | None:
    """Derive the key of pseudonyms from the tenant key; None where there is none to be had.

    A policy that asks for pseudonyms then fails to compile, and nothing is exported.
    """
    try:
        return load_tenant_key().pseudonym_key()
    except SemconvError:
        return None
