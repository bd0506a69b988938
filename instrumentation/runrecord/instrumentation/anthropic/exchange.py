# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""One call of the Messages API: what the request brings, what the message says, and the run that both belong to."""

import json
from collections.abc import Callable
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._declared import Settings
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.anthropic import extract, loop
from runrecord.instrumentation.anthropic.extract import Ending, Refusal
from runrecord.instrumentation.anthropic.loop import Loop
from runrecord.instrumentation.recorder import Recorder, Scope, captures_content, existing_span
from runrecord.instrumentation.recorder import current as current_scope
from runrecord.semconv import attributes as a


class Exchange:
    """A request and its message, or the events of its stream.

    Inside of a run its facts belong to that run. Outside, it is the segment of a run of its own if the server runs tools in
    it, if it brings what a run waits for, or once a policy of the provider has said something; else it leaves nothing.
    """

    def __init__(self, recorder: Recorder, body: object, *, conversation_id: str | None = None) -> None:
        self._recorder = recorder
        self._body = body
        self._conversation_id = conversation_id
        self._model = declared.text(declared.get(body, "model"))
        # The SDK's own span of the call is the current one now, and not any more when the message is here.
        self._context = otel_context.get_current()
        self._span = existing_span("chat", trace.get_current_span())
        self._loop: Loop | None = None
        self._ours = False
        self._scope: Scope | None = None
        self._message: dict[str, Any] = {}
        self._blocks: dict[Any, dict[str, Any]] = {}
        self._inputs: dict[Any, list[str]] = {}
        self._ended = False

    # the request

    @guarded
    def begin(self) -> None:
        """Find the run."""
        self._loop = loop.current()
        if self._loop is not None:
            self._loop.turn()
        else:
            self._scope = current_scope()
        if self._loop is None and self._scope is None:
            found = loop.waiting_for(self._recorder, self._body)
            if found is not None or extract.is_agentic(self._body):
                self._open(lambda: loop.open_loop(self._recorder, self._body, found, **self._facts()))
        if self._owner is not None:
            self._enrich(self._owner)

    def _facts(self) -> dict[str, Any]:
        return {
            "settings": Settings.of(None),
            "conversation_id": self._conversation_id,
            "context": self._context,
        }

    def _open(self, make: Callable[[], Loop]) -> None:
        self._loop, self._ours = make(), True
        self._loop.turn()

    def _enrich(self, owner: Scope) -> None:
        """Put the run and the step on the span that the SDK or another instrumentation made of this call."""
        span, self._span = self._span, None
        if span is not None and span.is_recording():
            owner.inference(self._model, span=span).stop()

    @property
    def _owner(self) -> Scope | None:
        return self._loop.owner if self._loop is not None else self._scope

    def _needed(self) -> Scope:
        """Return the owner of a fact, which makes a run where there is none."""
        if self._owner is None:
            self._open(lambda: loop.open_loop(self._recorder, self._body, None, **self._facts()))
        owner = self._owner
        if owner is None:
            raise RuntimeError("a loop has an owner")
        self._enrich(owner)
        return owner

    # the message

    @guarded
    def responded(self, message: object) -> None:
        """Record what a whole message says."""
        content = extract.items(declared.get(message, "content"))
        results = extract.results(message)
        blocks = [*extract.history(self._body), *content]
        if results:
            self._called(results, blocks)
        said = extract.refusal(message)
        if said is not None:
            self._refused(said)
        under_way = self._loop
        if under_way is None:
            return
        under_way.ending = extract.ending(message)
        under_way.calls = extract.open_calls(message)
        under_way.blocks = [block for block in content if declared.get(block, "type") == "tool_use"]
        if under_way.run is not None and captures_content():
            under_way.run.answered([{"role": "assistant", "content": extract.plain(content)}])

    def _called(self, results: list[extract.Result], blocks: list[object]) -> None:
        """Record the calls of hosted tools that came to a result; the message tells of them when they are over."""
        owner = self._needed()
        uses = {} if self._loop is None else self._loop.hosted
        uses.update(
            (str(declared.get(block, "id")), block)
            for block in blocks
            if declared.get(block, "type") in extract.USES
        )
        for result in results:
            block = uses.get(result.call_id)
            if block is None or not owner.state.once(f"called {result.call_id}"):
                continue
            tool = owner.tool(
                declared.text(declared.get(block, "name")) or "tool",
                call_id=result.call_id,
                arguments=extract.plain(declared.get(block, "input")),
                tool_type="extension",
                attributes={a.SIDE_EFFECT_TARGET: declared.text(declared.get(block, "server_name"))},
            )
            if result.error is not None:
                tool.fail(result.error)
            else:
                tool.result(extract.plain(result.content))
                tool.stop()

    def _refused(self, said: Refusal) -> None:
        owner = self._needed()
        if said.subject is not None and not owner.state.once(f"{said.policy} {said.subject}"):
            return
        owner.decision(
            said.policy,
            engine="guardrail",
            mode="enforce",
            subject=said.subject,
            subject_type=said.subject_type,
        ).deny(reason=said.reason, action="block")

    # the events of a stream, of which the message is made again

    @guarded
    def event(self, event: object) -> None:
        """Take an event."""
        kind, index = declared.get(event, "type"), declared.get(event, "index")
        if kind == "message_start":
            self._message = {"id": declared.get(declared.get(event, "message"), "id")}
        elif kind == "content_block_start":
            self._blocks[index] = dict(declared.mapping(extract.plain(declared.get(event, "content_block"))))
        elif kind == "content_block_delta":
            self._delta(self._blocks.setdefault(index, {}), index, declared.get(event, "delta"))
        elif kind == "content_block_stop" and index in self._inputs:
            self._blocks[index]["input"] = _parsed("".join(self._inputs.pop(index)))
        elif kind == "message_delta":
            delta = declared.get(event, "delta")
            for name in ("stop_reason", "stop_details"):
                self._message[name] = declared.get(delta, name)
            # Now, since the SDK's own span of the call ends with the next event.
            self.responded({**self._message, "content": list(self._blocks.values())})

    def _delta(self, block: dict[str, Any], index: object, delta: object) -> None:
        kind = declared.get(delta, "type")
        if kind == "input_json_delta":
            self._inputs.setdefault(index, []).append(str(declared.get(delta, "partial_json")))
        elif kind == "text_delta" and captures_content():
            block["text"] = f"{block.get('text') or ''}{declared.get(delta, 'text')}"

    # the end

    @guarded
    def completed(self) -> None:
        """End the run, if it is this call's, as the message says."""
        if not self._close() and self._loop is not None:
            self._loop.finish()

    @guarded
    def failed(self, error: BaseException) -> None:
        """Record an exception: of a filter, or a failure."""
        said = extract.filtered(error)
        if said is not None:
            self._refused(said)
            if self._loop is not None:
                self._loop.filtered = True
        if self._close() or self._loop is None:
            return
        if said is not None:
            self._loop.stopped(Ending("denied", said.policy))
        else:
            self._loop.fail(error)

    @guarded
    def abandoned(self) -> None:
        """End where the application did not read a stream to its end."""
        if not self._close() and self._loop is not None:
            self._loop.left()

    def _close(self) -> bool:
        """Note that the call is over; say whether nothing else is to be done."""
        over, self._ended = self._ended, True
        return over or not self._ours


def _parsed(text: str) -> object:
    try:
        return json.loads(text) if text else {}
    except ValueError:
        return text  # cut off
