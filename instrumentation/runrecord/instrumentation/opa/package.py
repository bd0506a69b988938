# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What this integration supports, and what it captures."""

from runrecord.instrumentation.capabilities import Capabilities

INSTRUMENTS = ("opa-python-client >= 2.0",)
"""Not needed: the HTTP clients that a program asks OPA with are seen in any release."""

CAPABILITIES = Capabilities(
    sdk="Open Policy Agent",
    versions=f"{INSTRUMENTS[0]}, or httpx, httpx2, requests, urllib3",
    run="no: the run is the agent's; outside of one nothing is recorded",
    step="no: the steps are the agent's",
    tool_call="no: the calls are the agent's; a decision inside of one names it",
    policy_decision="yes (opa-python-client; POST and GET of /v1/data/... of the addresses in RUNRECORD_OPA_URLS)",
    approval_request="no: the engine asks nobody",
    approval_decision="no: the engine asks nobody",
    resume_across_processes="no: a decision does not wait",
)
