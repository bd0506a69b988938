# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which releases of the OpenFGA SDK this integration supports, and what it captures of them."""

from runrecord.instrumentation.capabilities import Capabilities

INSTRUMENTS = ("openfga-sdk >= 0.9.1",)

CAPABILITIES = Capabilities(
    sdk="OpenFGA (openfga-sdk)",
    versions=INSTRUMENTS[0],
    run="no: the run is the agent's; outside of one nothing is recorded",
    step="no: the steps are the agent's",
    tool_call="no: the calls are the agent's; a decision inside of one names it",
    policy_decision="yes (check, batch_check, client_batch_check, list_relations, list_objects; synchronous and asynchronous)",
    approval_request="no: the engine asks nobody",
    approval_decision="no: the engine asks nobody",
    resume_across_processes="no: a decision does not wait",
)
