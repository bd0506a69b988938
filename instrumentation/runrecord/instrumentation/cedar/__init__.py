# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""Recording the decisions of Cedar, asked through cedarpy inside of a run.

Nothing changes in the program. Either run it under ``opentelemetry-instrument``, or switch the recording on in code; this runs
as it stands::

    from cedarpy import is_authorized
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
    from runrecord.instrumentation import recorder
    from runrecord.instrumentation.cedar import CedarInstrumentor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + "\n")))
    trace.set_tracer_provider(provider)
    CedarInstrumentor().instrument()

    POLICIES = '''
        @id("refunds") permit (principal, action == Action::"refund", resource);
        @id("over_50_usd") forbid (principal, action == Action::"refund", resource) when { context.amount > 50 };
    '''

    with recorder.run(agent="refund-agent") as run, run.tool("create_refund", call_id="call_1"):
        request = {
            "principal": 'Agent::"refund-agent"',
            "action": 'Action::"refund"',
            "resource": 'Invoice::"i-1"',
            "context": {"amount": 80},
        }
        print(is_authorized(request, POLICIES, []).allowed)

====================================  ========================================================================
in the program                        span
====================================  ========================================================================
``is_authorized``                     ``policy_decision {policy}``
``is_authorized_batch``               one for each request
``is_authorized_partial``             one with the mode monitor, since such an answer must not be acted on; none
                                      where the answer depends on what is unknown
====================================  ========================================================================

**The policy** is called cedar, its version is a digest of the text of the policies. To name it, give the text as a ``str`` of a
class of yours with the attributes ``policy_id`` and ``policy_version``. The rule is the policy that settled it, by its ``@id``
annotation or else by the number that the parser gives it; where several did, there is none. Reason codes: ``no_policy_permits``,
``policy_error`` (a policy failed and did not count) and ``partial``. A request that Cedar can't evaluate has no outcome but an
``error.type``.

**The subject** is the tool call that Cedar was asked in; its digest is a keyed commitment to the request, without the entities.

**What is not recorded.** Decisions outside of any run: an ordinary web handler may ask, too; in a service that a run called, ask
inside of ``recorder.join()``. Principals, resources, contexts and entities. ``from cedarpy import is_authorized`` is seen wherever
it stands; the other two functions, only if they are imported by name after the recording was switched on, which
``opentelemetry-instrument`` does before the program starts. An agent SDK that asks Cedar itself may be recorded by its own
integration, too: then there are two decisions, the SDK's and the engine's, and both were made.
"""

from collections.abc import Collection

from runrecord.instrumentation._policy_engine import EngineHooks, EngineInstrumentor
from runrecord.instrumentation.cedar.package import CAPABILITIES, INSTRUMENTS

__all__ = ["CAPABILITIES", "CedarInstrumentor"]


class CedarInstrumentor(EngineInstrumentor):
    """Records what Cedar decides inside of runs."""

    scope = "runrecord.instrumentation.cedar"

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the supported releases of cedarpy."""
        return INSTRUMENTS

    def _apply(self, hooks: EngineHooks) -> None:
        from runrecord.instrumentation.cedar import patch  # noqa: PLC0415  # only where it is switched on

        hooks.when("cedarpy", lambda module: patch.apply(hooks, module))
