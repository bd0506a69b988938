# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which releases of casbin this integration supports, and what it captures of them."""

from runrecord.instrumentation.capabilities import Capabilities

INSTRUMENTS = ("casbin >= 1.36", "pycasbin >= 1.44")
"""Any of them: the distribution was renamed, and both have the module ``casbin``."""

CAPABILITIES = Capabilities(
    sdk="casbin",
    versions=" or ".join(INSTRUMENTS),
    run="no: the run is the agent's; outside of one nothing is recorded",
    step="no: the steps are the agent's",
    tool_call="no: the calls are the agent's; a decision inside of one names it",
    policy_decision="yes (enforce, enforce_ex, batch_enforce; every kind of enforcer)",
    approval_request="no: the engine asks nobody",
    approval_decision="no: the engine asks nobody",
    resume_across_processes="no: a decision does not wait",
)
