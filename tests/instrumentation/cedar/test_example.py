# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The example's program, and the page of the integration, are true."""

import inspect
import textwrap
from pathlib import Path
from typing import Any

import cedarpy
import pytest
from policy_engine_example import check

from runrecord.instrumentation import cedar as documented
from runrecord.instrumentation import recorder as default_recorder

NAMED = hasattr(cedarpy.Diagnostics, "id_annotations_by_reason")

pytestmark = [pytest.mark.sdk]


def test_the_refund_agent(tmp_path: Path) -> None:
    check(tmp_path, "cedar", "cedar", ("over_50_usd", "refunds") if NAMED else ("policy1", "policy0"))


def test_the_example_of_the_page_runs(
    capsys: Any, telemetry: Any, recorder: Any, instrumented: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = inspect.getdoc(documented) or ""
    code = textwrap.dedent(page.partition("as it stands::")[2].partition("\n\n====")[0])
    monkeypatch.setattr(default_recorder, "default", lambda: recorder)
    exec(compile(code, "example", "exec"), {})
    assert capsys.readouterr().out == "False\n"
    assert telemetry.one("policy_decision").attributes["runrecord.decision.outcome"] == "deny"
