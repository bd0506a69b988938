# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a sample of wrong telemetry is, and short ways to make one."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType


def load(name: str) -> ModuleType:
    """Import a module of this directory, which is not on the path."""
    qualified = f"runrecord_conformance_{name}"
    if qualified not in sys.modules:
        spec = importlib.util.spec_from_file_location(qualified, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[qualified] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[qualified])
    return sys.modules[qualified]


recorded = load("recorded")


@dataclass(frozen=True)
class Sample:
    """One wrong thing.

    Attributes:
        rules: the rule of every finding, sorted; nothing else may be found.
        payload_free, partial: how it is checked.
    """

    name: str
    rules: tuple[str, ...]
    change: Callable[[object], None]
    payload_free: bool = False
    partial: bool = False

    def make(self):
        telemetry = recorded.recorded()
        self.change(telemetry)
        return telemetry


SAMPLES: list[Sample] = []


def sample(*rules: str, payload_free: bool = False, partial: bool = False):
    def add(change):
        SAMPLES.append(Sample(change.__name__, tuple(sorted(rules)), change, payload_free, partial))
        return change

    return add


def setting(rule: str, span: str, key: str, value: object, name: str) -> None:
    """Add the sample in which one attribute has a wrong value."""

    def change(t):
        recorded.put(t.span(span), key, value)

    change.__name__ = name
    sample(rule)(change)


def dropping(rule: str, span: str, key: str, name: str) -> None:
    """Add the sample in which one attribute is missing."""

    def change(t):
        recorded.drop(t.span(span), key)

    change.__name__ = name
    sample(rule)(change)
