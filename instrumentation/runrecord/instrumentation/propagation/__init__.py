# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The run and the step over boundaries: processes, threads, HTTP, gRPC, Kafka, and any other carrier.

Inside a process the run is in the OpenTelemetry context, under keys of our own. It becomes the baggage entries
``runrecord.run.id`` and ``runrecord.step.index`` only on the way to a peer that ``RUNRECORD_PROPAGATION_HOSTS`` allows, or
over a boundary that stays in the trust domain. A peer that is not known is not allowed. The trace context and the user's own
baggage go where they always went.

For a carrier of your own (MCP ``_meta``, Temporal headers, a queue)::

    from opentelemetry import context as otel_context
    from runrecord.instrumentation import propagation

    meta: dict[str, str] = {}
    propagation.inject_trusted(meta)                              # same trust domain, such as a child process
    propagation.inject(meta, peer="https://tools.example/mcp")    # somebody else: the run only if allow-listed

    token = otel_context.attach(propagation.extract_trusted(meta))  # or extract(meta), which asks the policy
    try:
        propagation.remote_run()                                  # RemoteRun(run_id="...", step_index=3)
    finally:
        otel_context.detach(token)

A carrier is a ``dict[str, str]``, or anything with an OpenTelemetry ``setter`` and ``getter``; ``HEADERS`` is both for a list of
pairs, such as the headers of a Kafka message. They use the global propagator: with ``OTEL_PROPAGATORS`` set, keep ``baggage`` (or ``runrecord``) in it.
"""

from runrecord.instrumentation._remote import RemoteRun, remote_run
from runrecord.instrumentation.propagation.carriers import (
    HEADERS,
    extract,
    extract_trusted,
    inject,
    inject_trusted,
)
from runrecord.instrumentation.propagation.hosts import HostList
from runrecord.instrumentation.propagation.instrumentor import PropagationInstrumentor
from runrecord.instrumentation.propagation.policy import Policy, policy, set_policy
from runrecord.instrumentation.propagation.propagator import RunPropagator, install, uninstall

__all__ = [
    "HEADERS",
    "HostList",
    "Policy",
    "PropagationInstrumentor",
    "RemoteRun",
    "RunPropagator",
    "extract",
    "extract_trusted",
    "inject",
    "inject_trusted",
    "install",
    "policy",
    "remote_run",
    "set_policy",
    "uninstall",
]
