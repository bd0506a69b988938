# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Hand an OTLP exporter bytes that are already redacted, without letting it see the spans.

The OTLP exporters encode spans themselves, so a redactor in front of them would have to encode, redact, decode, and let
them encode again. Here they get a `Payload` in place of the spans: a sequence that has a length (they count it) and no
items. What they make of it is empty, and where they would send it the redacted request takes its place:

- OTLP over HTTP takes a `session=` (public); `runrecord.exporters.session` replaces the empty body.
- OTLP over gRPC calls `_translate_data` on whatever it was given to export (the abstract method of its mixin). That is not
  public, so it is only tried: when it was not called, nothing has left but an empty request, and the caller falls back to
  rebuilt spans.

The spans never enter the exporter, so a change in a later release can lose a batch but can't leak one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from os import environ
from typing import Any, Final, Protocol, cast, overload

from runrecord.exporters.errors import ExporterError

_current: ContextVar[Payload | None] = ContextVar("runrecord_payload", default=None)

_CREDENTIAL_PROVIDERS: Final = (
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_LOGS_CREDENTIAL_PROVIDER",
)
"""With one of these set the exporter makes a session of its own, which a session of ours would replace."""


class Exporter(Protocol):
    """What span and log record exporters have in common."""

    def export(self, batch: Any, /) -> Any:
        """Send a batch."""
        ...

    def shutdown(self) -> Any:
        """Release what it holds."""
        ...


class TransportError(ExporterError):
    """A request could not be handed over as it is; it was not sent."""


class Payload(Sequence[Any]):
    """Stands in for ``count`` spans or log records whose redacted request is ``body``.

    Attributes:
        body: The serialised request to send.
        taken: Whether a transport asked for it.
    """

    def __init__(
        self, count: int, body: bytes, message: Any = None, parse: Callable[[bytes], Any] | None = None
    ) -> None:
        """Wrap a request.

        Args:
            count: How many records the exporter should count.
            body: The redacted request.
            message: The same request as a protobuf message, when the caller has it.
            parse: Makes ``message`` from ``body`` when it is needed and missing.
        """
        self.body = body
        self.taken = False
        self._count = count
        self._message = message
        self._parse = parse

    def __len__(self) -> int:
        """Return how many records this stands for."""
        return self._count

    def __iter__(self) -> Iterator[Any]:
        """Yield nothing: there is nothing here to encode."""
        return iter(())

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """Return no item; a slice is empty."""
        if isinstance(index, slice):
            return ()
        raise IndexError("a payload has no items")

    def take_body(self) -> bytes:
        """Return the bytes to send."""
        self.taken = True
        return self.body

    def take_message(self) -> Any:
        """Return the protobuf message to send."""
        if self._message is None and self._parse is not None:
            self._message = self._parse(self.body)
        self.taken = True
        return self._message


@contextmanager
def sending(payload: Payload) -> Generator[None]:
    """Make ``payload`` the `current` one in this context."""
    token = _current.set(payload)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Payload | None:
    """Return the payload that is being sent in this context."""
    return _current.get()


def adopt_http(exporter: Exporter, arguments: Mapping[str, Any]) -> Exporter | None:
    """Return a twin of an OTLP/HTTP exporter that sends payloads; None when ``exporter`` is not one.

    Args:
        exporter: An exporter that was just made and not used. It is shut down when it gets a twin.
        arguments: The keyword arguments it was made with; the rest it reads from the environment.
    """
    kind = type(exporter)
    if not kind.__module__.startswith("opentelemetry.exporter.otlp.proto.http."):
        return None
    if "session" in arguments or any(environ.get(name) for name in _CREDENTIAL_PROVIDERS):
        return None
    try:
        from runrecord.exporters.session import PayloadSession  # noqa: PLC0415 - needs requests
    except ImportError:
        return None
    twin = cast("Callable[..., Exporter]", kind)(**{**arguments, "session": PayloadSession()})
    exporter.shutdown()
    return twin


def adopt_grpc(exporter: Exporter) -> bool:
    """Make an OTLP/gRPC exporter send payloads; return whether that could be tried.

    Args:
        exporter: Any exporter. It still takes spans from others as before.
    """
    original = getattr(exporter, "_translate_data", None)
    if not callable(original) or not type(exporter).__module__.startswith(
        "opentelemetry.exporter.otlp.proto.grpc."
    ):
        return False

    def translate(data: Any) -> Any:
        return data.take_message() if isinstance(data, Payload) else original(data)

    try:
        exporter._translate_data = translate  # type: ignore[attr-defined]  # noqa: SLF001
    except AttributeError:
        return False
    return True
