# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""gRPC: the official client span does not name its peer, so the channel does, which knows it.

An interceptor next to the wire writes our baggage members, for channels to allowed targets only; any other channel stays
what it was.
"""

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, Final

import wrapt
from opentelemetry import context as otel_context
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from wrapt import FunctionWrapper

from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation._remote import position, with_entries, with_remote_run
from runrecord.instrumentation._safety import guarded, swallowed
from runrecord.instrumentation.propagation.hosts import peer_of_text
from runrecord.instrumentation.propagation.propagator import allowed, without_our_members

_FACTORIES: Final = ("insecure_channel", "secure_channel")
_SHAPES: Final = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
_HEADER: Final = "baggage"
_Pairs = list[tuple[str, Any]]


class GrpcChannels:
    """The hooks into ``grpc`` and ``grpc.aio``; those of an earlier object do nothing any more."""

    def __init__(self) -> None:
        self._active = True
        self._hooks = OnImport()

    def patch(self) -> None:
        """Hook into the channels that are made from now on."""
        self._hooks.when("grpc", self._patch_sync)
        self._hooks.when("grpc.aio", self._patch_aio)

    def unpatch(self) -> None:
        """Let the hooks do nothing."""
        self._active = False
        self._hooks.disarm()

    def _patch_sync(self, grpc: ModuleType) -> None:
        def make(
            wrapped: Callable[..., Any], _: object, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            channel = wrapped(*args, **kwargs)
            if self._tells(args, kwargs):
                with swallowed("a gRPC channel"):
                    channel = grpc.intercept_channel(channel, _interceptors(grpc)[0])
            return channel

        for name in _FACTORIES:
            _wrap_innermost(grpc, name, make)

    def _patch_aio(self, aio: ModuleType) -> None:
        def make(
            wrapped: Callable[..., Any], _: object, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            # Behind all others, whoever adds them: the official instrumentation puts its own in front.
            if self._tells(args, kwargs) and (len(args) < _AIO_POSITIONAL):
                with swallowed("a gRPC channel"):
                    ours = _aio_interceptors(aio)
                    kwargs = {**kwargs, "interceptors": [*(kwargs.get("interceptors") or ()), *ours]}
            return wrapped(*args, **kwargs)

        for name in _FACTORIES:
            _wrap_innermost(aio, name, make)

    def _tells(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        with swallowed("the target of a gRPC channel"):
            return self._active and target_allowed(str(args[0] if args else kwargs.get("target", "")))
        return False


_AIO_POSITIONAL: Final = 4  # insecure_channel(target, options, compression, interceptors)


def target_allowed(target: str) -> bool:
    """Say whether every address of a gRPC target is allowed; of name systems only DNS names a host."""
    scheme, colon, rest = target.partition(":")
    match scheme if colon else "":
        case "ipv4" | "ipv6":
            addresses = rest.split(",")
        case "dns":
            addresses = [rest.rpartition("/")[2]]
        case _:
            addresses = [target]
    return all("/" not in address and allowed(peer_of_text(address)) for address in addresses)


def _wrap_innermost(module: ModuleType, name: str, wrapper: Callable[..., Any]) -> None:
    """Wrap a function below the wrappers that others have put around it."""
    proxy: type[Any] = getattr(wrapt, "BaseObjectProxy", wrapt.ObjectProxy)  # the first is new in wrapt 2
    outer: Any = getattr(module, name)
    if not isinstance(outer, proxy):
        setattr(module, name, FunctionWrapper(outer, wrapper))
        return
    inner: Any = outer.__wrapped__
    while isinstance(inner, proxy):
        outer, inner = inner, inner.__wrapped__
    outer.__wrapped__ = FunctionWrapper(inner, wrapper)


@guarded
def _told(metadata: Iterable[tuple[str, Any]] | None) -> _Pairs | None:
    """Return call metadata with the current position in its baggage; None outside of a run."""
    here = position(otel_context.get_current())
    if here is None:
        return None
    ours: dict[str, str] = {}
    W3CBaggagePropagator().inject(ours, with_entries(with_remote_run(here, Context())))
    pairs = [(name, value) for name, value in metadata or () if name != _HEADER]
    others = [
        str(kept)
        for name, value in metadata or ()
        if name == _HEADER and (kept := without_our_members(value))
    ]
    return [*pairs, (_HEADER, ",".join([*others, ours[_HEADER]]))]


def _details(details: Any, make: Callable[[_Pairs], Any] = list) -> Any:
    told = _told(details.metadata)
    replace = getattr(details, "_replace", None)
    return details if told is None or replace is None else replace(metadata=make(told))


def _interceptors(grpc: ModuleType) -> list[Any]:
    def intercept(_: object, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return continuation(_details(details), request)

    bases = tuple(getattr(grpc, _class_of(shape)) for shape in _SHAPES)
    return [type("RunInterceptor", bases, {f"intercept_{shape}": intercept for shape in _SHAPES})()]


def _aio_interceptors(aio: ModuleType) -> list[Any]:
    async def intercept(_: object, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return await continuation(_details(details, lambda pairs: aio.Metadata(*pairs)), request)

    return [
        type("RunInterceptor", (getattr(aio, _class_of(shape)),), {f"intercept_{shape}": intercept})()
        for shape in _SHAPES
    ]


def _class_of(shape: str) -> str:
    return shape.title().replace("_", "") + "ClientInterceptor"
