# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""All cases, in order, and how to run them."""

from __future__ import annotations

from collections.abc import Callable

from tests.otlp_conformance import grpc_cases, http_cases, json_cases
from tests.otlp_conformance.model import CASES, Result, run_case
from tests.otlp_conformance.wire import Target

__all__ = ["CASES", "run"]
_MODULES = (grpc_cases, http_cases, json_cases)  # importing them registers the cases


def run(target: Target, show: Callable[[Result], None] = lambda _: None) -> list[Result]:
    """Run every case whose transport the target has.

    Args:
        target: The receiver.
        show: Called with each result as it comes.
    """
    results: list[Result] = []
    for case in CASES:
        if getattr(target, case.transport):
            results.append(run_case(case, target))
            show(results[-1])
    return results
