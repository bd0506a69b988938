# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What is learnt of one tool call between the model's wish and its result, and where in the run it is."""

import time
from dataclasses import dataclass, field

from opentelemetry.context import Context
from opentelemetry.trace import Span

from runrecord.instrumentation.recorder import Approval, Step, Tool


@dataclass
class Call:
    """A tool call.

    Attributes:
        call_id: The model's id.
        name: Name of the tool; one of an MCP server is called ``mcp__{server}__{tool}``.
        arguments: What it runs with, as far as is known: hooks and answers can change it.
        parent: The call of the sub-agent that it is made in.
        ready: When it could run at the earliest, in nanoseconds since the epoch: nobody tells when the CLI starts it.
        tool: Its record, once it runs.
        approval: What was asked about it.
        waiting: Whether the answer to that is still to come.
        decided: Sources (config, hook, user) of which a decision is recorded.
        asks: Whether a hook wants a person to be asked.
        deferred: Whether a hook left it for a later process.
        denied: Whether it was stopped.
    """

    call_id: str
    name: str
    arguments: object
    parent: str | None = None
    ready: int = field(default_factory=time.time_ns)
    tool: Tool | None = None
    approval: Approval | None = None
    waiting: bool = False
    decided: set[str] = field(default_factory=set[str])
    asks: bool = False
    deferred: bool = False
    denied: bool = False


@dataclass
class Lane:
    """The agent, or one of its sub-agents: the steps of each follow one another.

    Attributes:
        context: Where its steps are; None for the agent itself, whose are in the run.
        span: The ``invoke_agent`` span of a sub-agent.
        step: The step under way.
        message: The answer of the model that the step began with.
    """

    context: Context | None = None
    span: Span | None = None
    step: Step | None = None
    message: str | None = None

    def end_step(self, error: BaseException | None = None) -> None:
        """End the step under way."""
        step, self.step = self.step, None
        if step is not None:
            step.stop() if error is None else step.fail(error)

    def end(self, error: BaseException | None = None) -> None:
        """End the step under way and the sub-agent's span."""
        self.end_step(error)
        span, self.span = self.span, None
        if span is not None:
            span.end()
