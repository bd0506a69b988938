# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The builders of runs that the ledger's own tests use."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def builders() -> ModuleType:
    path = Path(__file__).parents[1] / "ledger" / "meaning" / "conftest.py"
    spec = util.spec_from_file_location("meaning_builders", path)
    assert spec
    assert spec.loader
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
