# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into the SDK; nothing else.

Every call of the model passes through ``request`` of the client, whichever method made it and whoever wrapped that: there the span
of another instrumentation is the current one, in whatever order they were switched on.
"""

from collections.abc import Callable
from typing import Any, Final

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation import _streams as streams
from runrecord.instrumentation._hooks import Hooks
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.openai import extract, loop, runner
from runrecord.instrumentation.openai.exchange import Exchange
from runrecord.instrumentation.recorder import Recorder

_Wrapped = Callable[..., Any]
_Args = tuple[Any, ...]
_Kwargs = dict[str, Any]

_RESPONSES: Final = "openai.lib.responses_tool_runner"
_DECISIONS: Final = "openai.lib.decisions_tool_runner"
_COMPUTER: Final = "openai.lib.computer"
_BROWSER: Final = "openai.lib.browser"


class Patch:
    """The hooks, and the recorder they feed."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._hooks = Hooks("openai")

    def client(self) -> None:
        """Hook into the clients; called once the package is imported."""
        self._hooks.wrap("openai._base_client", "SyncAPIClient.request", self._request)
        self._hooks.wrap("openai._base_client", "AsyncAPIClient.request", self._async_request)
        for name in ("ResponseStream", "AsyncResponseStream"):
            self._hooks.wrap("openai.lib.streaming.responses", f"{name}.close", streams.helper_closed)
        for name in ("ChatCompletionStream", "AsyncChatCompletionStream"):
            self._hooks.wrap("openai.lib.streaming.chat", f"{name}.close", streams.helper_closed)

    def responses_runner(self) -> None:
        """Hook into the runner of responses."""
        for kind, asynchronous in (("ResponsesToolRunner", False), ("AsyncResponsesToolRunner", True)):
            self._hooks.wrap(
                _RESPONSES,
                f"{kind}.iterate",
                self._loop(runner.async_iterate if asynchronous else runner.iterate),
            )
            self._hooks.wrap(
                _RESPONSES, f"{kind}._execute_function", _async_function if asynchronous else _function
            )

    def decisions_runner(self) -> None:
        """Hook into the runner of decisions."""
        self._hooks.wrap(_DECISIONS, "DecisionsToolRunner.run", self._loop(runner.run))
        self._hooks.wrap(_DECISIONS, "AsyncDecisionsToolRunner.run", self._loop(runner.async_run))
        self._hooks.wrap(_DECISIONS, "invoke", _action)

    def computer(self) -> None:
        """Hook into the runner of a computer."""
        self._hooks.wrap(_COMPUTER, "ComputerToolset.run", self._loop(runner.run))
        self._hooks.wrap(_COMPUTER, "AsyncComputerToolset.run", self._loop(runner.async_run))
        self._hooks.wrap(_COMPUTER, "ComputerToolset._dispatch", self._computer_call)
        self._hooks.wrap(_COMPUTER, "AsyncComputerToolset._dispatch", self._async_computer_call)

    def browser(self) -> None:
        """Hook into the calls of a browser."""
        self._hooks.wrap(_BROWSER, "BrowserToolset._execute", _browser_call)
        self._hooks.wrap(_BROWSER, "AsyncBrowserToolset._execute", _async_browser_call)

    def remove(self) -> None:
        """Undo the hooks."""
        self._hooks.remove()

    # calls of the model

    @guarded
    def _begin(self, args: _Args, kwargs: _Kwargs) -> Exchange | None:
        options = args[1] if len(args) > 1 else kwargs.get("options")
        api = extract.api_of(str(declared.get(options, "method")), str(declared.get(options, "url")))
        if api is None:
            return None
        body: dict[str, Any] = {
            **(declared.get(options, "json_data") or {}),
            **(declared.get(options, "extra_json") or {}),
        }
        exchange = Exchange(self._recorder, api, body)
        exchange.begin()
        return exchange

    def _request(self, wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        exchange = self._begin(args, kwargs)
        if exchange is None:
            return wrapped(*args, **kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            exchange.failed(error)
            raise
        _responded(exchange, result, asynchronous=False)
        return result

    async def _async_request(self, wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        exchange = self._begin(args, kwargs)
        if exchange is None:
            return await wrapped(*args, **kwargs)
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            exchange.failed(error)
            raise
        _responded(exchange, result, asynchronous=True)
        return result

    # runners

    def _loop(self, record: Callable[..., Any]) -> Callable[..., Any]:
        def call(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
            return record(self._recorder, wrapped, args, kwargs)

        return call

    def _computer_call(self, wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        call = args[0] if args else kwargs.get("call")
        observed = runner.computer_callbacks(self._recorder, call, kwargs)
        tool = runner.start_computer(call)
        return runner.called(tool, lambda: wrapped(*args, **observed), runner.function_result)

    async def _async_computer_call(
        self, wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs
    ) -> Any:
        call = args[0] if args else kwargs.get("call")
        observed = runner.computer_callbacks(self._recorder, call, kwargs)
        tool = runner.start_computer(call)
        return await runner.async_called(tool, lambda: wrapped(*args, **observed), runner.function_result)


@guarded
def _responded(exchange: Exchange, result: Any, *, asynchronous: bool) -> None:
    """Record what came back: a response, a stream, or a raw response that has one of the two."""
    if type(result).__name__ == "LegacyAPIResponse":
        result = result.parse()  # the SDK keeps what this returns for the application
    if hasattr(result, "_iterator"):
        streams.follow("openai", result, exchange, asynchronous=asynchronous)
        return
    if hasattr(result, "model_dump"):
        exchange.responded(result)
    exchange.completed()


def _function(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    tool = _start_function(instance, args)
    return runner.called(tool, lambda: wrapped(*args, **kwargs), runner.function_result)


async def _async_function(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    tool = _start_function(instance, args)
    return await runner.async_called(tool, lambda: wrapped(*args, **kwargs), runner.function_result)


@guarded
def _start_function(instance: Any, args: _Args) -> Any:
    item = args[1]
    function = declared.get(declared.get(instance, "_functions"), item.name)
    return runner.start_function(item.name, item.call_id, item.arguments, declared.get(function, "execute"))


def _browser_call(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    tool = _start_browser(args, kwargs)
    return runner.called(tool, lambda: wrapped(*args, **kwargs), runner.browser_result)


async def _async_browser_call(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    tool = _start_browser(args, kwargs)
    return await runner.async_called(tool, lambda: wrapped(*args, **kwargs), runner.browser_result)


@guarded
def _start_browser(args: _Args, kwargs: _Kwargs) -> Any:
    if kwargs.get("skip"):
        return None  # an earlier call failed, and this one is only answered
    item = args[0]
    return runner.start_function(item.name, item.call_id, item.arguments, None)


def _action(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    """Make the action that a decision selected; the application named it."""
    under_way = loop.around()
    if under_way is None or under_way.choice is None:
        return wrapped(*args, **kwargs)
    tool = runner.start_function(under_way.choice, None, None, args[0] if args else None)
    record = runner.async_called if under_way.asynchronous else runner.called
    return record(tool, lambda: wrapped(*args, **kwargs), lambda result: result)
