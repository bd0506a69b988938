# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A model call: the official inference span, with the run it belongs to and what it cost."""

from collections.abc import Sequence as Items

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from runrecord.instrumentation._existing import existing_span
from runrecord.instrumentation._governed import Governed, parent_for
from runrecord.instrumentation._metrics import Metrics
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation._state import Attributes
from runrecord.instrumentation._versions import Versions, version_facts
from runrecord.semconv import attributes as a


class Priced(Governed):
    """Something that costs money by itself: a call of a model or a tool."""

    _cost: tuple[float, str, str] | None = None

    @guarded
    def cost(self, amount: float, currency: str, *, source: str = "price_table") -> None:
        """Say what this one call cost.

        Args:
            amount: In units of ``currency``; it is never added up on a parent, since user interfaces add up themselves.
            currency: ISO 4217 code, such as USD.
            source: provider, if it said so; price_table, if it was worked out from the usage.
        """
        if self._ended:
            return
        self._cost = (float(amount), currency, source)
        self.set({a.COST_AMOUNT: self._cost[0], a.COST_CURRENCY: currency, a.COST_SOURCE: source})

    def _finish(self, attributes: Attributes, error: BaseException | str | None) -> bool:
        finished = super()._finish(attributes, error)
        if finished and self._cost is not None:
            amount, currency, _ = self._cost
            self._state.spend(amount, currency)
        return finished


class Inference(Priced):
    """A call of a model.

    It is no governed record: it takes no number, and a ledger does not keep it. ``with`` finishes it with :meth:`stop` if the
    block returns and with :meth:`fail` if it raises.
    """

    counted = False
    signal = "runrecord.model_call"

    def __init__(self, owner: Governed, context: Context | None) -> None:
        self._where, parent = parent_for(owner, context)
        super().__init__(owner.state, parent, parent.step_index)
        self._model: str | None = None

    @guarded
    def begin(
        self,
        model: str | None,
        *,
        provider: str | None,
        operation: str,
        prompt_name: str | None,
        prompt_version: str | None,
        versions: Versions | None,
        span: Span | None,
        explicit: bool,
    ) -> None:
        if span is None and not explicit:
            span = existing_span(operation, trace.get_current_span(self._where))
        self._model = model
        facts: Attributes = {
            a.GEN_AI_PROMPT_NAME: prompt_name,
            a.GEN_AI_PROMPT_VERSION: prompt_version,
            **version_facts(versions),
        }
        if span is None:  # on a span of another instrumentation these are its own to say
            facts = {
                a.GEN_AI_OPERATION_NAME: operation,
                a.GEN_AI_REQUEST_MODEL: model,
                a.GEN_AI_PROVIDER_NAME: provider,
                **facts,
            }
        self._open(
            f"{operation} {model}" if model else operation,
            facts,
            parent=self._where,
            kind=SpanKind.CLIENT,
            span=span,
        )

    @guarded
    def usage(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        response_model: str | None = None,
        finish_reasons: Items[str] | None = None,
    ) -> None:
        """Say what the call used and who answered; not needed where another instrumentation makes the span."""
        self.set(
            {
                a.GEN_AI_USAGE_INPUT_TOKENS: input_tokens,
                a.GEN_AI_USAGE_OUTPUT_TOKENS: output_tokens,
                a.GEN_AI_RESPONSE_MODEL: response_model,
                a.GEN_AI_RESPONSE_FINISH_REASONS: finish_reasons,
            }
        )

    def _measure(self, metrics: Metrics, error: str | None) -> None:  # noqa: ARG002  # an error may cost too
        if self._cost is None:
            metrics.unpriced(self._state, self._model)
        else:
            metrics.call_cost(self._state, {a.GEN_AI_REQUEST_MODEL: self._model}, self._cost)
