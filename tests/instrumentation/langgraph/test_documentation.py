# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The page of the integration is true: its example runs."""

import inspect
import textwrap
from typing import Any

import pytest

from runrecord.instrumentation import langgraph

pytestmark = pytest.mark.sdk


def test_the_example_runs(capsys: Any, telemetry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    page = inspect.getdoc(langgraph) or ""
    code = page.partition("this runs as it stands::")[2].partition("What is recorded")[0]
    switch_on = langgraph.LangGraphInstrumentor.instrument
    recorder = telemetry.recorder()

    def instrument(self: Any) -> None:
        switch_on(self, recorder=recorder)

    monkeypatch.setattr(langgraph.LangGraphInstrumentor, "instrument", instrument)
    try:
        exec(compile(textwrap.dedent(code), "example", "exec"), {})
    finally:
        langgraph.LangGraphInstrumentor().uninstrument()
    assert capsys.readouterr().out == "Done.\n"
    telemetry.one("invoke_agent helper")
