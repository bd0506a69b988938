# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""An internal error costs telemetry only, and can't hide in a test suite."""

import logging
from typing import Any

import pytest

from runrecord.instrumentation import MemoryContextStore, StoredContext, _safety

ARGUMENTS = {"order": "o-1", "amount": 80}


class _BrokenStore(MemoryContextStore):
    def get(self, key: Any) -> StoredContext | None:
        raise OSError("secret-text")

    def put(self, key: Any, context: StoredContext) -> None:
        raise OSError("secret-text")


@pytest.mark.breaks("missing-records")
def test_an_internal_error_costs_telemetry_only(
    telemetry: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.setattr(_safety, "_seen", set())

    def no_key() -> Any:
        raise OSError("secret-text")

    broken = telemetry.recorder(store=_BrokenStore())
    broken._core.tenant_key = no_key
    with caplog.at_level(logging.WARNING), broken.run("a") as run:
        for _ in range(3):
            approval = run.request_approval("c", tool="t", arguments=ARGUMENTS)
            approval.approved()
            run.tool("t", arguments=ARGUMENTS).result(object())
    assert len(telemetry.named("request_approval")) == 3
    assert len(telemetry.named("approval_decision")) == 3
    assert len(caplog.messages) == len(set(caplog.messages)) > 0
    assert "secret-text" not in caplog.text


def test_an_internal_error_is_raised_under_pytest(telemetry: Any) -> None:
    with pytest.raises(OSError), telemetry.recorder(store=_BrokenStore()).run("a") as run:
        run.request_approval("c", tool="t")
