# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A program pays for the SDK it imports, when it imports it; an import never fails because of us."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from runrecord.instrumentation import _safety
from runrecord.instrumentation._on_import import OnImport

SDKS = ("agents", "langchain", "langchain_core", "langgraph", "openai")

SHOW = """
from opentelemetry import trace
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

def show():
    exporter = ConsoleSpanExporter(formatter=lambda span: span.name + "\\n")
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
"""

NOTHING = f"""
import sys
from runrecord.instrumentation.langgraph import LangGraphInstrumentor
from runrecord.instrumentation.openai_agents import OpenAIAgentsInstrumentor
assert LangGraphInstrumentor().is_instrumented_by_opentelemetry
assert OpenAIAgentsInstrumentor().is_instrumented_by_opentelemetry
print(sorted({{name.partition(".")[0] for name in sys.modules}} & set({SDKS!r})))
"""

GRAPH = """
{first}
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeListChatModel
show()
create_agent(FakeListChatModel(responses=["Done."]), tools=[], name="helper").invoke({{"messages": [("user", "x")]}})
"""

OPENAI = """
import asyncio
{first}
from agents import Agent, Runner
from agents.testing import ScriptedModel, assistant_message
show()
agent = Agent(name="helper", model=ScriptedModel([[assistant_message("Done.")]]))
asyncio.run(Runner.run(agent, "x"))
"""


def run(program: str, tmp_path: Path, *, launcher: bool = True) -> str:
    environment = {
        **os.environ,
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "RUNRECORD_STATE_DIR": str(tmp_path),
    }
    environment.pop("OPENAI_API_KEY", None)
    environment.pop("PYTEST_CURRENT_TEST")
    starter = [str(Path(sys.executable).with_name("opentelemetry-instrument"))] if launcher else []
    command = [*starter, sys.executable, "-c", SHOW + program]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.sdk
def test_a_program_without_an_agent_imports_no_sdk(tmp_path: Path) -> None:
    assert run(NOTHING, tmp_path) == "[]\n"


@pytest.mark.sdk
@pytest.mark.parametrize(
    "first", ["", "import langgraph.callbacks", "import langgraph.types", "import langchain_core.tools"]
)
def test_a_graph_is_recorded_whatever_is_imported_first(first: str, tmp_path: Path) -> None:
    assert run(GRAPH.format(first=first), tmp_path).split("\n")[-2] == "invoke_agent helper"


@pytest.mark.sdk
@pytest.mark.parametrize("first", ["", "import agents.tracing", "from agents.run import AgentRunner"])
def test_an_openai_agent_is_recorded_whatever_is_imported_first(first: str, tmp_path: Path) -> None:
    assert run(OPENAI.format(first=first), tmp_path).split("\n")[-2] == "invoke_agent helper"


@pytest.mark.sdk
def test_an_sdk_that_was_imported_before_is_patched_at_once(tmp_path: Path) -> None:
    first = """
from agents import Runner as _Earlier
from opentelemetry.sdk.trace import TracerProvider
from runrecord.instrumentation.openai_agents import OpenAIAgentsInstrumentor
trace.set_tracer_provider(TracerProvider())
OpenAIAgentsInstrumentor().instrument()
"""
    assert "invoke_agent helper" in run(OPENAI.format(first=first), tmp_path, launcher=False)


@pytest.mark.sdk
def test_a_package_of_the_application_may_be_called_agents(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("MINE = 1\n")
    program = "import sys\nsys.path.insert(0, '')\nimport agents\nprint(agents.MINE)\n"
    assert run(program, tmp_path) == "1\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module that nobody has imported yet."""
    name = f"imported_by_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text("first = 1\nlast = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_hook_sees_the_whole_module_once(module: str) -> None:
    seen: list[ModuleType] = []
    imports = OnImport()
    imports.when(module, seen.append)
    assert seen == []
    found = importlib.import_module(module)
    importlib.import_module(module)
    assert seen == [found]
    assert found.last == 2
    imports.when(module, seen.append)
    assert seen == [found, found]


def test_a_disarmed_hook_does_nothing(module: str) -> None:
    seen: list[ModuleType] = []
    imports = OnImport()
    imports.when(module, seen.append)
    imports.disarm()
    importlib.import_module(module)
    assert seen == []


def test_a_hook_that_fails_is_logged_once_and_the_import_succeeds(
    module: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_safety, "_seen", set())

    def fail(_module: ModuleType) -> None:
        raise ImportError("a text")

    imports = OnImport()
    imports.when(module, fail)
    imports.when(module, fail)
    assert importlib.import_module(module).first == 1
    assert len(caplog.messages) == 1
    assert "ImportError" in caplog.text
    assert "a text" not in caplog.text
