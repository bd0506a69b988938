# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Bytes that are nearly requests: refused, or redacted as the slow reference does; never a crash, never a secret."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redaction_fuzz import ENGINES, POLICIES, SIGNALS, check

from runrecord.processors import Signal

SEEDS = Path(__file__).with_name("seeds")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_kept_seeds(engine: str) -> None:
    seeds = sorted(SEEDS.iterdir())
    assert len(seeds) > 30
    for seed in seeds:
        check(seed.read_bytes(), engine)


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_request_with_changed_bytes(otlp: SimpleNamespace, signal: Signal, data: st.DataObject) -> None:
    body = bytearray(data.draw(otlp.requests(signal)))
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(body)))
        kind = data.draw(st.sampled_from(["change", "cut", "insert", "repeat"]))
        if kind == "change" and place < len(body):
            body[place] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del body[place : place + data.draw(st.integers(1, 8))]
        elif kind == "insert":
            body[place:place] = data.draw(st.binary(max_size=8))
        elif kind == "repeat":
            body[place:place] = body[place : place + data.draw(st.integers(1, 64))]
    policy = data.draw(st.integers(0, len(POLICIES) - 1))
    chosen = SIGNALS.index(signal) + len(SIGNALS) * policy
    for engine in ENGINES:
        check(bytes([chosen]) + bytes(body), engine)
