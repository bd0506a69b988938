# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The policy of an app: the gateway's own file, read in the process.

`RUNRECORD_CONFIG` names a `runrecord.yaml`; of it, `processors.redaction` and `processors.compat` apply here. Without it
the default policy applies: the packs `secrets` and `pii`, and the OpenInference attributes.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import environ
from pathlib import Path
from typing import Any, Final, cast

import yaml

from runrecord.exporters.errors import ExporterError
from runrecord.exporters.pipeline import Processor, Redacts
from runrecord.processors import PolicyError, compat
from runrecord.processors.redaction import RedactionPolicy, Redactor
from runrecord.semconv.commitment import load_tenant_key
from runrecord.semconv.errors import SemconvError

RUNRECORD_CONFIG: Final = "RUNRECORD_CONFIG"
"""Environment variable: the path of a `runrecord.yaml`."""

DEFAULT_POLICY: Final[Mapping[str, Any]] = {"packs": ["secrets", "pii"]}

_VARIABLE: Final = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class SettingsError(ExporterError):
    """The file that ``RUNRECORD_CONFIG`` names can't be used; nothing is exported without a policy."""


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
    section = _processors(path) if path else {}
    redaction = section.get("redaction")
    try:
        policy = RedactionPolicy.parse(DEFAULT_POLICY if redaction is None else redaction)
        keyed = policy.needs_key or bool(policy.rule_files)
        redactor = Redactor(policy, key=_pseudonym_key() if keyed else None)
    except PolicyError as error:
        if not path:
            raise
        raise SettingsError(f"{path}: processors.{error}", next_step=f"runrecord validate {path}") from None
    compatibility: dict[str, Any] = section.get("compat") or {}
    wanted = bool(compatibility.get("openinference", True))
    return Protection(redactor, (compat.openinference,) if wanted else (), path or "default")


def _pseudonym_key() -> bytes | None:
    """Derive the key of pseudonyms from the tenant key; None where there is none to be had.

    A policy that asks for pseudonyms then fails to compile, and nothing is exported.
    """
    try:
        return load_tenant_key().pseudonym_key()
    except SemconvError:
        return None


def _processors(path: str) -> dict[str, Any]:
    try:
        document: Any = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{RUNRECORD_CONFIG}={path}: {error.strerror or type(error).__name__}",
            next_step="Name a readable file, or unset the variable for the default policy.",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else "not UTF-8"
        raise SettingsError(f"{path} is not YAML: {where}", next_step=f"runrecord validate {path}") from None
    if not isinstance(document, dict):
        raise SettingsError(f"{path} is not a mapping", next_step=f"runrecord validate {path}")
    section: Any = cast("dict[str, Any]", document).get("processors") or {}
    if not isinstance(section, dict):
        raise SettingsError(f"{path}: processors is not a mapping", next_step=f"runrecord validate {path}")
    chosen = {
        key: _substitute(cast("dict[str, Any]", section).get(key), path) for key in ("redaction", "compat")
    }
    for key, value in chosen.items():
        if value is not None and not isinstance(value, dict):
            raise SettingsError(
                f"{path}: processors.{key} is not a mapping", next_step=f"runrecord validate {path}"
            )
    return chosen


def _substitute(value: object, path: str) -> Any:
    """Replace `${env:NAME:-default}`, as the gateway does; a value that is nothing else is read as YAML again."""
    if isinstance(value, dict):
        return {key: _substitute(item, path) for key, item in cast("dict[object, object]", value).items()}
    if isinstance(value, list):
        return [_substitute(item, path) for item in cast("list[object]", value)]
    if not isinstance(value, str) or "${env:" not in value:
        return value

    def replace(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        found = environ.get(name)
        if found is None and default is None:
            raise SettingsError(
                f"{path}: {match.group(0)} is not set", next_step=f"Set {name}, or give it a default."
            )
        return found if found is not None else default or ""

    replaced = _VARIABLE.sub(replace, value)
    if not _VARIABLE.fullmatch(value):
        return replaced
    try:
        return yaml.safe_load(replaced)
    except yaml.YAMLError:  # whose text quotes the value
        raise SettingsError(
            f"{path}: what {value} stands for is not YAML", next_step="Put it in quotes."
        ) from None
