# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The demo in front of a real Arize Phoenix: what a person sees there."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from runrecord.demo import phoenix
from runrecord.demo.job import STORIES, Job
from runrecord.demo.processes import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.mark.skipif(
    not os.environ.get("RUNRECORD_PHOENIX"), reason="needs Phoenix: run `make test ARGS='-s ui'`"
)
def test_phoenix_shows_the_runs_with_a_kind_for_every_span_of_ours(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    job = Job(tmp_path, f"{url}/v1/traces")
    service = phoenix.service(
        Path(os.environ["RUNRECORD_PHOENIX"]), tmp_path, port, free_port(), job.environment()
    )
    try:
        service.start(url, timeout=120)
        job.start_gateway()
        for story in STORIES:
            job.tell(story)
        job.wait_until_sealed(len(STORIES))
        spans = phoenix.wait_for_spans(url, minimum=20, timeout=30)
    finally:
        job.gateway.stop()
        service.stop()
    ours = [span for span in spans if "runrecord.run.id" in span["attributes"]]
    kinds = Counter((span["name"].split()[0], span["span_kind"]) for span in ours)
    assert kinds[("invoke_agent", "AGENT")] == 5
    assert kinds[("request_approval", "GUARDRAIL")] == kinds[("approval_decision", "GUARDRAIL")] == 2
    assert kinds[("execute_tool", "TOOL")] == 7
    assert not [kind for kind in kinds if kind[1] == "UNKNOWN"]
    assert len({span["context"]["trace_id"] for span in ours}) == len(STORIES)
