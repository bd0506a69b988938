# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The samples, as a fixture: nothing in this directory is on the path."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _samples() -> ModuleType:
    name, path = "runrecord_conformance_samples", Path(__file__).parent / "samples.py"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def samples() -> ModuleType:
    return _samples()


@pytest.fixture
def recorded(samples: ModuleType) -> Any:
    """Valid telemetry of every signal, to be changed."""
    return samples.recorded.recorded()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "sample" in metafunc.fixturenames:
        metafunc.parametrize("sample", _samples().SAMPLES, ids=lambda sample: sample.name)
