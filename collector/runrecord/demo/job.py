# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The main job: three runs of the refund agent, through a real gateway, into a ledger and to a back end."""

from __future__ import annotations

import os
import re
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from runrecord.demo import refund_agent
from runrecord.demo.processes import DemoError, Service, free_port, run, script
from runrecord.ledger import Ledger

_SETTLE_SECONDS = 30.0
_METRIC = re.compile(r'^runrecord_redaction_matches_total\{rule="([^"]+)"[^}]*\} ([0-9.e+]+)$', re.MULTILINE)


@dataclass(frozen=True)
class Story:
    """One run of the agent: who asks for a refund, and what the person says, if one is asked."""

    thread: str
    customer: str
    decision: str | None
    title: str


STORIES = (
    Story("refund-a", "c-100", "approve", "a refund over the limit, approved by a person in another process"),
    Story("refund-b", "c-200", None, "a refund that the policy denies"),
    Story("refund-c", "c-300", "reject", "a refund over the limit, denied by the person"),
)


@dataclass
class Job:
    """The demo's place on disk, its ports and its processes.

    Args:
        directory: An empty directory; everything the job writes is in it.
        forward_to: The OTLP/HTTP traces endpoint of the back end.
        say: Takes one line of progress.
    """

    directory: Path
    forward_to: str
    say: Callable[[str], None] = lambda _line: None
    otlp_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    health_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        """Write the configuration files; nothing is started yet."""
        (self.directory / "logs").mkdir(parents=True, exist_ok=True)
        self.config_file = self.directory / "runrecord.yaml"
        self.config_file.write_text(yaml.safe_dump(self._config(), sort_keys=False))
        # In the agents' own processes redaction has no rules here, so that the gateway's shows what it does.
        self.agent_config_file = self.directory / "agent.yaml"
        self.agent_config_file.write_text(yaml.safe_dump({"processors": {"redaction": {"packs": []}}}))
        self.gateway = Service(
            "runrecord gateway",
            [script("runrecord"), "gateway", "--config", str(self.config_file)],
            self.directory / "logs" / "gateway.log",
            self.environment(),
        )

    @property
    def ledger_directory(self) -> Path:
        """Where the gateway keeps its ledger."""
        return self.directory / "ledger"

    def environment(self) -> dict[str, str]:
        """The environment of every process of the job: this one's, without its telemetry settings."""
        kept = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("OTEL_", "RUNRECORD_", "LANGSMITH_", "LANGCHAIN_"))
        }
        return {
            **kept,
            "RUNRECORD_STATE_DIR": str(self.directory / "state"),
            "RUNRECORD_LEDGER": str(self.ledger_directory),
        }

    def start_gateway(self) -> None:
        """Start the gateway, or start it again after a crash."""
        self.gateway.start(f"http://127.0.0.1:{self.health_port}/", timeout=20)

    def start_run(self, story: Story) -> str:
        """Run the agent until it ends or waits for a person; what it printed."""
        return self._agent(f"{story.thread}-start", "start", story)

    def resume_run(self, story: Story) -> str:
        """Answer for the person and run the agent to its end, in a process of its own."""
        assert story.decision is not None
        return self._agent(f"{story.thread}-resume", "resume", story, "--decision", story.decision)

    def tell(self, story: Story) -> None:
        """Play a whole story."""
        self.say(f"{story.thread}: {story.title}")
        if "waits" in self.start_run(story) and story.decision is not None:
            self.say(f"{story.thread}: its process has ended; it waits for a person")
            self.resume_run(story)
            self.say(f"{story.thread}: another process carried the answer, {story.decision}")

    def wait_until_sealed(self, runs: int) -> None:
        """Wait until the ledger's signed checkpoint covers ``runs`` complete runs.

        Raises:
            DemoError: It took too long.
        """
        deadline = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < deadline:
            if (self.ledger_directory / "checkpoint").exists():
                with Ledger(self.ledger_directory, read_only=True) as ledger:
                    complete = [run for run in ledger.runs() if ledger.run(run.run).completeness.complete]
                if len(complete) >= runs:
                    return
            time.sleep(0.2)
        message = f"the ledger did not hold {runs} complete runs within {_SETTLE_SECONDS:.0f} s; see {self.gateway.log}"
        raise DemoError(message)

    def redaction_counts(self) -> dict[str, int]:
        """What the gateway redacted: matches by rule, as its metrics tell."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as response:
            text = response.read().decode()
        return {rule: int(float(count)) for rule, count in _METRIC.findall(text)}

    def _agent(self, name: str, action: str, story: Story, *arguments: str) -> str:
        command = [
            script("opentelemetry-instrument"), sys.executable, str(refund_agent.__file__), action,
            "--thread", story.thread, "--customer", story.customer,
            "--checkpoints", str(self.directory / "checkpoints.sqlite"), *arguments,
        ]  # fmt: skip
        environment = {
            **self.environment(),
            "OTEL_SERVICE_NAME": "refund-agent",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.otlp_port}",
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
            "RUNRECORD_CONFIG": str(self.agent_config_file),
            "SHOP_PAYMENTS": str(self.directory / "payments.jsonl"),
        }
        return run(name, command, environment, self.directory)

    def _config(self) -> dict[str, object]:
        return {
            "receivers": {
                "otlp": {
                    "protocols": {
                        "grpc": {"endpoint": f"127.0.0.1:{self.otlp_port}"},
                        "http": {"endpoint": f"127.0.0.1:{self.http_port}"},
                    }
                }
            },
            "processors": {"redaction": {"packs": ["secrets", "pii"]}, "compat": {"openinference": True}},
            "exporters": {
                "otlp_http/backend": {"endpoint": self.forward_to},
                "ledger": {"directory": str(self.ledger_directory), "origin": "runrecord.demo/refunds"},
            },
            "service": {
                "state_dir": str(self.directory / "state"),
                "pipelines": {
                    "traces": {
                        "receivers": ["otlp"],
                        "processors": ["redaction", "compat"],
                        "exporters": ["otlp_http/backend", "ledger"],
                    },
                    "logs": {"receivers": ["otlp"], "processors": ["redaction"], "exporters": ["ledger"]},
                },
                "telemetry": {
                    "metrics": {"address": f"127.0.0.1:{self.metrics_port}"},
                    "health": {"endpoint": f"127.0.0.1:{self.health_port}"},
                },
            },
        }
