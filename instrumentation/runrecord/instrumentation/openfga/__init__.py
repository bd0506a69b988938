# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Recording the decisions of OpenFGA, asked through its SDK inside of a run.

Nothing changes in the program. Either run it under ``opentelemetry-instrument``, or switch the recording on in code; with an
OpenFGA server at hand::

    from openfga_sdk.client import ClientConfiguration
    from openfga_sdk.client.models import ClientCheckRequest
    from openfga_sdk.sync import OpenFgaClient
    from runrecord.instrumentation import recorder
    from runrecord.instrumentation.openfga import OpenFGAInstrumentor

    OpenFGAInstrumentor().instrument()

    with OpenFgaClient(ClientConfiguration(api_url=URL, store_id=STORE, authorization_model_id=MODEL)) as client:
        with recorder.run(agent="refund-agent") as run, run.tool("create_refund", call_id="call_1"):
            asked = ClientCheckRequest(
                user="agent:refund-agent", relation="can_pay", object="invoice:i-1", context={"amount": 80}
            )
            print(client.check(asked).allowed)

====================================================  ==========================================================
in the program                                        span
====================================================  ==========================================================
``check``                                             ``policy_decision {policy}``
``batch_check``, ``client_batch_check``,                one for each check
``list_relations``
``list_objects``                                      one for the retrieval: allow if anything may be retrieved,
                                                      deny if nothing may
====================================================  ==========================================================

**The policy** is identified by the id of the store and called openfga; its version is the id of the authorization model that was asked
for, and missing where the server takes the latest. Attributes ``policy_id`` and ``policy_version`` of the client say otherwise. The
rule is the relation in the model, such as ``invoice#can_pay``; no user and no object is in it. A check that fails has no outcome but
an ``error.type``.

**The subject** is the tool call that OpenFGA was asked in, and for ``list_objects`` the retrieval; its digest is a keyed commitment
to the request.

**What is not recorded.** Decisions outside of any run: an ordinary web handler may ask, too; in a service that a run called, ask
inside of ``recorder.join()``. Users, objects, contexts and tuples. ``streamed_list_objects``, ``list_users`` and ``expand``, and
clients of the plain API. A guardrail of an agent SDK that asks OpenFGA is recorded by the SDK's integration, too: then there are
two decisions, the guardrail's and the engine's, and both were made.
"""

from collections.abc import Collection

from runrecord.instrumentation._policy_engine import EngineHooks, EngineInstrumentor
from runrecord.instrumentation.openfga.package import CAPABILITIES, INSTRUMENTS

__all__ = ["CAPABILITIES", "OpenFGAInstrumentor"]


class OpenFGAInstrumentor(EngineInstrumentor):
    """Records what OpenFGA decides inside of runs."""

    scope = "runrecord.instrumentation.openfga"

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the supported releases of the SDK."""
        return INSTRUMENTS

    def _apply(self, hooks: EngineHooks) -> None:
        from runrecord.instrumentation.openfga import patch  # noqa: PLC0415  # only where it is switched on

        for name in ("openfga_sdk.client.client", "openfga_sdk.sync.client.client"):
            hooks.when(name, lambda module: patch.apply(hooks, module))
