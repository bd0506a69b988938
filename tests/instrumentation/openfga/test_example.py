# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The example's program, and the page of the integration, are true."""

import inspect
import textwrap
from pathlib import Path
from typing import Any

import pytest
from policy_engine_example import check

from runrecord.instrumentation import openfga as documented
from runrecord.instrumentation import recorder as default_recorder

pytestmark = [pytest.mark.sdk, pytest.mark.go, pytest.mark.timeout(900)]


def test_the_refund_agent(tmp_path: Path, server: str) -> None:
    check(tmp_path, "openfga", "openfga", ("invoice#can_refund",) * 2, FGA_API_URL=server)


def test_the_example_of_the_page_runs(  # noqa: PLR0917
    capsys: Any,
    telemetry: Any,
    recorder: Any,
    instrumented: Any,
    monkeypatch: pytest.MonkeyPatch,
    server: str,
    store: Any,
) -> None:
    page = inspect.getdoc(documented) or ""
    code = textwrap.dedent(page.partition("OpenFGA server at hand::")[2].partition("\n\n====")[0])
    monkeypatch.setattr(default_recorder, "default", lambda: recorder)
    exec(
        compile(code.replace("can_pay", "can_refund"), "example", "exec"),
        {"URL": server, "STORE": store[0], "MODEL": store[1]},
    )
    assert capsys.readouterr().out == "False\n"
    assert telemetry.one("policy_decision").attributes["runrecord.decision.outcome"] == "deny"
