# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""Recording the decisions of casbin, asked inside of a run.

Nothing changes in the program. Either run it under ``opentelemetry-instrument``, or switch the recording on in code; this runs
as it stands::

    import casbin
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
    from runrecord.instrumentation import recorder
    from runrecord.instrumentation.casbin import CasbinInstrumentor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + "\n")))
    trace.set_tracer_provider(provider)
    CasbinInstrumentor().instrument()

    model = casbin.Model()
    model.load_model_from_text('''
    [request_definition]
    r = sub, act, amount
    [policy_definition]
    p = sub, act
    [policy_effect]
    e = some(where (p.eft == allow))
    [matchers]
    m = r.sub == p.sub && r.act == p.act && r.amount <= 50
    ''')
    enforcer = casbin.Enforcer(model)
    enforcer.add_policy("refund-agent", "refund")

    with recorder.run(agent="refund-agent") as run, run.tool("create_refund", call_id="call_1"):
        print(enforcer.enforce("refund-agent", "refund", 80))

=============================================================  =======================================
in the program                                                 span
=============================================================  =======================================
``enforce``, ``enforce_ex`` of any enforcer, also the             ``policy_decision {policy}``
asynchronous, the synced and the fast one
``batch_enforce``                                              one for each request
=============================================================  =======================================

**The policy** is called casbin, and its version is a digest of the model's definitions; attributes ``policy_id`` and ``policy_version``
of the enforcer say otherwise. The rule is the matched one by its kind and its place in the loaded policy, such as ``p/0``: its text
would name people. Reason codes: ``no_rule_matched``, and ``enforcement_disabled`` while the enforcer lets everything pass. A
request that can't be evaluated has no outcome but an ``error.type``.

**The subject** is the tool call that casbin was asked in; its digest is a keyed commitment to the values of the request.

**What is not recorded.** Decisions outside of any run: an ordinary web handler may ask, too; in a service that a run called, ask
inside of ``recorder.join()``. The values of requests and rules. An enforcer of your own that overrides ``enforce_ex`` without calling
it. A guardrail of an agent SDK that asks casbin is recorded by the SDK's integration, too: then there are two decisions, the
guardrail's and the engine's, and both were made.
"""

from collections.abc import Collection

from opentelemetry.instrumentation.dependencies import get_dependency_conflicts

from runrecord.instrumentation._policy_engine import EngineHooks, EngineInstrumentor
from runrecord.instrumentation.casbin.package import CAPABILITIES, INSTRUMENTS

__all__ = ["CAPABILITIES", "CasbinInstrumentor"]


class CasbinInstrumentor(EngineInstrumentor):
    """Records what casbin decides inside of runs."""

    scope = "runrecord.instrumentation.casbin"

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the supported releases of the distribution that is installed, under its old name or its new one."""
        return next(
            ([each] for each in INSTRUMENTS if get_dependency_conflicts([each]) is None), INSTRUMENTS[-1:]
        )

    def _apply(self, hooks: EngineHooks) -> None:
        from runrecord.instrumentation.casbin import patch  # noqa: PLC0415  # only where it is switched on

        hooks.when("casbin", lambda module: patch.apply(hooks, module))
