# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Recording the decisions of Open Policy Agent, asked over its REST API inside of a run.

Nothing changes in the program. Either run it under ``opentelemetry-instrument``, or switch the recording on in code. Where OPA is
must be said in the variable ``RUNRECORD_OPA_URLS`` (several are separated by commas; the part of the path before ``/v1`` counts), but
for opa-python-client, whose every question is one to OPA; with a server at hand::

    import os
    import httpx
    from runrecord.instrumentation import recorder
    from runrecord.instrumentation.opa import OPAInstrumentor

    os.environ["RUNRECORD_OPA_URLS"] = "http://localhost:8181"
    OPAInstrumentor().instrument()

    with recorder.run(agent="refund-agent") as run, run.tool("create_refund", call_id="call_1"):
        url = "http://localhost:8181/v1/data/refunds/allow?provenance=true"
        answer = httpx.post(url, json={"input": {"agent": "refund-agent", "amount": 80}})
        print(answer.json()["result"])

===========================================================  ==================================================
in the program                                               span
===========================================================  ==================================================
``OpaClient.query_rule``, ``AsyncOpaClient.query_rule``,        ``policy_decision {package}``
``check_permission``
``bulk_query_rule``                                          one for each input
POST or GET of ``/v1/data/{path}`` with httpx, httpx2,         ``policy_decision {package}``, if the answer decides
requests or urllib3
===========================================================  ==================================================

**An answer decides** if it is a Boolean; if it is an object with a Boolean ``allow``, ``allowed``, ``permit``, ``permitted`` or
``authorized``; or if the path ends in, or the object has, ``deny``, ``denied``, ``denials``, ``violation`` or ``violations``: true, or a set
that is not empty, denies. Anything else is data, such as a limit, and is not recorded, nor is a Boolean of another name that a GET
without an input reads. A decision that is undefined, and an answer with an error, have no outcome but an ``error.type``.

**The policy** is the package, as the path names it; the rule is the last part of the path, or the member of the object that
decided. A path is cut before the first part that is not an identifier, since ids of data may follow. The version is the revision
of the bundle, where ``provenance=true`` asks for it. The id of the decision is OPA's own, where its decision log is on. A member ``reason_code``
of an object becomes the reason code, if it is a lower-case word. Attributes ``policy_id`` and ``policy_version`` of an
``OpaClient`` say otherwise.

**The subject** is the tool call that OPA was asked in; its digest is a keyed commitment to the input.

**What is not recorded.** Decisions outside of any run: an ordinary web handler may ask, too; in a service that a run called, ask
inside of ``recorder.join()``. Inputs. Other APIs than ``/v1/data``, answers that the program streams, and other HTTP clients, such as
aiohttp. Without ``RUNRECORD_OPA_URLS`` no HTTP client is touched. The span of an official HTTP instrumentation stays as it is. A
guardrail of an agent SDK that asks OPA is recorded by the SDK's integration, too: then there are two decisions, the guardrail's
and the engine's, and both were made.
"""

from collections.abc import Collection

from runrecord.instrumentation._policy_engine import EngineHooks, EngineInstrumentor
from runrecord.instrumentation.opa.package import CAPABILITIES

__all__ = ["CAPABILITIES", "OPAInstrumentor"]


class OPAInstrumentor(EngineInstrumentor):
    """Records what OPA decides inside of runs."""

    scope = "runrecord.instrumentation.opa"

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: any HTTP client will do."""
        return ()

    def _apply(self, hooks: EngineHooks) -> None:
        from runrecord.instrumentation.opa import patch  # noqa: PLC0415  # only where it is switched on
        from runrecord.instrumentation.opa.addresses import configured  # noqa: PLC0415

        patch.apply(hooks, configured())
