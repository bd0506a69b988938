# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The example of a policy engine, in real processes under ``opentelemetry-instrument``: what it prints, and the spans it exports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[2] / "examples" / "policy_engines" / "refund_agent.py"
PERSONAL = ["mail.example.org", "4111 1111", "5555 5555", "sk_live_", "Ada Example", "inv-7001", "inv-7002"]


def refund(directory: Path, engine: str, customer: str, **settings: str) -> tuple[str, list[dict[str, Any]]]:
    """Run the agent; return the last line of what it says, and its spans."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTEST_"))}
    environment = {
        **kept,
        "RUNRECORD_STATE_DIR": str(directory / "state"),
        "OTEL_TRACES_EXPORTER": "console",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        **settings,
    }
    instrument = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    done = subprocess.run(
        [instrument, sys.executable, str(EXAMPLE), "--engine", engine, "--customer", customer],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not [word for word in PERSONAL if word in done.stdout]
    said, spans = "", []
    text, decoder = done.stdout.lstrip(), json.JSONDecoder()
    while text:
        if text.startswith("{"):
            span, end = decoder.raw_decode(text)
            spans.append(span)
        else:
            said, end = text.partition("\n")[0], text.find("\n") + 1
        text = text[end:].lstrip()
    return said, spans


def check(
    directory: Path, engine: str, policy: str, rules: tuple[str | None, str | None], **settings: str
) -> None:
    """The rule allows 42 USD and refuses 120, by the rules of these names."""
    for customer, said, outcome, rule in (
        ("c-100", "refused: over 50 USD", "deny", rules[0]),
        ("c-200", "paid", "allow", rules[1]),
    ):
        answer, spans = refund(directory, engine, customer, **settings)
        assert answer == said
        (decision,) = [span for span in spans if span["name"] == f"policy_decision {policy}"]
        facts = decision["attributes"]
        assert facts["runrecord.decision.outcome"] == outcome
        assert facts["runrecord.policy.engine"] == engine
        assert facts.get("runrecord.policy.rule.id") == rule
        assert facts["runrecord.subject.id"] == "call-1"
        (run,) = [span for span in spans if span["name"] == "invoke_agent refund-agent"]
        assert run["attributes"]["runrecord.run.outcome"] == ("denied" if outcome == "deny" else "success")
    assert len((directory / "payments.jsonl").read_text().splitlines()) == 1
