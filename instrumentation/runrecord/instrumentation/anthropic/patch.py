# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into the SDK; nothing else.

Every call of the API passes through the client, whichever method made it and whoever wrapped that. The newer releases make a span
of it in ``request``, which is the current one in ``_request``; the older ones have only the first.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation import _streams as streams
from runrecord.instrumentation._hooks import Hooks
from runrecord.instrumentation._safety import guarded, swallowed
from runrecord.instrumentation.anthropic import extract, runner
from runrecord.instrumentation.anthropic.dispatch import Dispatch
from runrecord.instrumentation.anthropic.exchange import Exchange
from runrecord.instrumentation.anthropic.readers import Reader, Sessions
from runrecord.instrumentation.recorder import Recorder

_Wrapped = Callable[..., Any]
_Args = tuple[Any, ...]
_Kwargs = dict[str, Any]

_CLIENT: Final = "anthropic._base_client"
_RUNNER: Final = "anthropic.lib.tools._beta_runner"
_RAW: Final = "x-stainless-raw-response"
_SESSION_RUNNER: Final = "anthropic.lib.tools._beta_session_runner"


class Patch:
    """The hooks, and the recorder they feed."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._sessions = Sessions(recorder)
        self._dispatch = Dispatch(self._sessions)
        self._hooks = Hooks("anthropic")

    def client(self) -> None:
        """Hook into the clients; called once the package is imported."""
        for kind, wrapper in (("SyncAPIClient", self._request), ("AsyncAPIClient", self._async_request)):
            if not self._hooks.wrap(_CLIENT, f"{kind}._request", wrapper, optional=True):
                self._hooks.wrap(_CLIENT, f"{kind}.request", wrapper)

    def runner(self) -> None:
        """Hook into the tool runners of the Messages API."""
        for kind, wrapper in (
            ("BaseSyncToolRunner", self._loop(runner.iterate)),
            ("BaseAsyncToolRunner", self._loop(runner.async_iterate)),
        ):
            # With a native span around the loop, where that is the current one.
            if not self._hooks.wrap(_RUNNER, f"{kind}._steps", wrapper, optional=True):
                self._hooks.wrap(_RUNNER, f"{kind}.__run__", wrapper)
        self._hooks.wrap(_RUNNER, "BaseToolRunner._tool_use_span", _tool_span, optional=True)

    def session_runner(self) -> None:
        """Hook into the tool runner of sessions."""
        self._hooks.wrap(_SESSION_RUNNER, "SessionToolRunner._run", self._dispatch.running)
        self._hooks.wrap(_SESSION_RUNNER, "SessionToolRunner._execute", self._dispatch.execute)
        native = hasattr(import_module(_SESSION_RUNNER).SessionToolRunner, "_call_tool")
        if native:
            self._hooks.wrap(_SESSION_RUNNER, "SessionToolRunner._call_tool", self._dispatch.call_tool)
        else:
            self._hooks.wrap(_SESSION_RUNNER, "SessionToolRunner._send_result", self._dispatch.send_result)

    def remove(self) -> None:
        """Undo the hooks."""
        self._hooks.remove()

    # calls of the API

    @guarded
    def _begin(self, client: Any, args: _Args, kwargs: _Kwargs) -> "Exchange | _SessionCall | None":
        options = args[1] if len(args) > 1 else kwargs.get("options")
        found = extract.api_of(declared.get(options, "method"), declared.get(options, "url"))
        if found is None:
            return None
        api, session_id = found
        body: dict[str, Any] = {
            **declared.mapping(declared.get(options, "json_data")),
            **declared.mapping(declared.get(options, "extra_json")),
        }
        if api != "messages":
            headers = declared.mapping(declared.get(options, "headers"))
            return _SessionCall(self._sessions, api, session_id, body, headers)
        exchange = Exchange(self._recorder, body, conversation_id=runner.conversation_of(client))
        exchange.begin()
        return exchange

    def _request(self, wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        call = self._begin(instance, args, kwargs)
        if call is None:
            return wrapped(*args, **kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        parsed = result
        if _is_read(args, kwargs):
            with swallowed("a raw response"):
                parsed = result.parse()
        _responded(call, parsed, asynchronous=False)
        return result

    async def _async_request(self, wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        call = self._begin(instance, args, kwargs)
        if call is None:
            return await wrapped(*args, **kwargs)
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        parsed = result
        if _is_read(args, kwargs):
            with swallowed("a raw response"):
                parsed = await result.parse()
        _responded(call, parsed, asynchronous=True)
        return result

    def _loop(self, record: Callable[..., Any]) -> Callable[..., Any]:
        def call(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
            del args, kwargs
            return record(self._recorder, wrapped, instance)

        return call


class _SessionCall:
    """A request that concerns a session."""

    def __init__(self, sessions: Sessions, api: str, session_id: str | None, body: Any, headers: Any) -> None:
        self._sessions = sessions
        self._api = api
        self._id = session_id or ""
        self._body = body
        self._headers = headers

    def failed(self, error: BaseException) -> None:
        """Take an exception: the server did not accept it."""

    @guarded
    def responded(self, result: Any) -> None:
        """Take what came back."""
        if self._api == "session":
            self._sessions.described(result)
        elif self._api == "list":
            self._sessions[self._id].listed(extract.items(declared.get(result, "data")))
        elif self._api == "send":
            actor_ref = declared.text(self._headers.get(extract.ACTOR_HEADER))
            self._sessions[self._id].sent(extract.items(self._body.get("events")), actor_ref)

    def completed(self) -> None:
        """Take the end."""

    def reader(self) -> Reader:
        """Return what follows the stream."""
        return Reader(self._sessions[self._id])


@guarded
def _is_read(args: _Args, kwargs: _Kwargs) -> bool:
    """Say whether a raw response comes back whose body is read; the SDK keeps what is made of it for the application."""
    options = args[1] if len(args) > 1 else kwargs.get("options")
    headers = declared.mapping(declared.get(options, "headers"))
    return any(name.lower() == _RAW and value == "raw" for name, value in headers.items())


@guarded
def _responded(call: "Exchange | _SessionCall", result: Any, *, asynchronous: bool) -> None:
    """Record what came back: a message, a page, or a stream."""
    if hasattr(result, "_iterator"):
        follower = call if isinstance(call, Exchange) else call.reader()
        streams.follow("anthropic", result, follower, asynchronous=asynchronous)
        return
    if hasattr(result, "model_dump"):
        call.responded(result)
    call.completed()


def _tool_span(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    spanned = wrapped(*args, **kwargs)
    given = [*args, *(kwargs[name] for name in ("tool", "tool_use") if name in kwargs)]
    return runner.tool_span(spanned, instance, *given[-2:]) if len(given) > 1 else spanned
