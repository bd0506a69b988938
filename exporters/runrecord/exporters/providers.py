# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Find the exporters behind a tracer or logger provider, and say which have redaction in front of them.

The SDK has no public way to list a provider's processors, nor a processor's exporter. Every private attribute is
probed for, and what can't be read is reported as unknown rather than guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from runrecord.exporters.pipeline import Redacts

_ROOTS: Final = ("_active_span_processor", "_multi_log_record_processor")
_CHILDREN: Final = ("_span_processors", "_log_record_processors")
_SLOTS: Final = (
    ("_batch_processor", "_exporter"),  # BatchSpanProcessor, BatchLogRecordProcessor
    ("", "span_exporter"),  # SimpleSpanProcessor
    ("", "_exporter"),  # SimpleLogRecordProcessor
    ("", "exporter"),
)
_NOT_A_PROVIDER: Final = ("Proxy", "NoOp")

SignalName = Literal["traces", "logs"]


class State(str, Enum):
    """Whether content is redacted before an exporter sees it."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ExporterSite:
    """One place where telemetry leaves the process.

    Attributes:
        signal: `traces` or `logs`.
        processor: Class of the processor that feeds the exporter.
        exporter: Class of the exporter that sends; empty when it could not be found.
        state: Whether it is redacted.
        holder: The object and the attribute of it that hold the exporter.
    """

    signal: SignalName
    processor: str
    exporter: str
    state: State
    holder: tuple[object, str] | None = field(default=None, repr=False, compare=False)


def global_sites() -> list[ExporterSite]:
    """Return the exporters of the global tracer and logger providers."""
    from opentelemetry._logs import get_logger_provider  # noqa: PLC0415 - asking makes the provider where the
    from opentelemetry.trace import get_tracer_provider  # noqa: PLC0415 - environment names one

    return [*sites(get_tracer_provider(), "traces"), *sites(get_logger_provider(), "logs")]


def sites(provider: object, signal: SignalName) -> list[ExporterSite]:
    """Return the exporters behind ``provider``.

    Args:
        provider: A tracer or logger provider, of the SDK or not.
        signal: Which of the two.
    """
    if type(provider).__name__.startswith(_NOT_A_PROVIDER):
        return []
    for name in _ROOTS:
        if (root := getattr(provider, name, None)) is not None:
            return [_site(processor, signal) for processor in _leaves(root) if not _is_ours(processor)]
    return [ExporterSite(signal, _name(provider), "", State.UNKNOWN)]


def guard_global(redactor: Redacts | None = None) -> list[ExporterSite]:
    """Guard the global tracer and logger providers.

    Args:
        redactor: As for `guard`.

    Returns:
        What is there afterwards.
    """
    from opentelemetry._logs import get_logger_provider  # noqa: PLC0415 - as above
    from opentelemetry.trace import get_tracer_provider  # noqa: PLC0415 - as above

    return [
        *guard(get_tracer_provider(), "traces", redactor),
        *guard(get_logger_provider(), "logs", redactor),
    ]


def guard(provider: object, signal: SignalName, redactor: Redacts | None = None) -> list[ExporterSite]:
    """Put a safe exporter in front of every exporter of ``provider`` that has none, in place.

    For providers that were configured in a way that takes no processors from outside: by declarative configuration, or by
    another configurator.

    Args:
        provider: A tracer or logger provider.
        signal: Which of the two.
        redactor: What redacts, with no processor after it; by default the policy and the processors of this process.

    Returns:
        What is there afterwards.

    Raises:
        SettingsError: ``RUNRECORD_CONFIG`` names a file that can't be used.
        ProcessorError: The policy can't be compiled.
        ModuleNotFoundError: What redacts is not installed.
    """
    from runrecord.exporters.safe import SafeLogExporter, SafeSpanExporter  # noqa: PLC0415 - needs the SDK

    safe: type[Any] = SafeSpanExporter if signal == "traces" else SafeLogExporter
    for site in sites(provider, signal):
        if site.state is State.UNSAFE and site.holder is not None:
            owner, attribute = site.holder
            exporter = safe(getattr(owner, attribute), redactor, None if redactor is None else ())
            with suppress(AttributeError, TypeError):  # it can't be replaced: it stays unsafe, and is told of
                setattr(owner, attribute, exporter)
    return sites(provider, signal)


def _leaves(processor: object) -> Iterator[object]:
    for name in _CHILDREN:
        children: Iterable[object] | None = getattr(processor, name, None)
        if isinstance(children, (tuple, list)):
            for child in children:
                yield from _leaves(child)
            return
    yield processor


def _site(processor: object, signal: SignalName) -> ExporterSite:
    for through, attribute in _SLOTS:
        owner = getattr(processor, through, None) if through else processor
        exporter = getattr(owner, attribute, None) if owner is not None else None
        if callable(getattr(exporter, "export", None)):
            inner: Any = exporter
            while _is_safe(inner):
                inner = inner.inner
            state = State.SAFE if _is_safe(exporter) else State.UNSAFE
            return ExporterSite(signal, _name(processor), _name(inner), state, (owner, attribute))
    return ExporterSite(signal, _name(processor), "", State.UNKNOWN)


def _is_safe(exporter: object) -> bool:
    # By name along the bases, so that a check does not import the SDK where nobody else did.
    return any(
        base.__module__ == "runrecord.exporters.safe" and base.__name__ == "SafeExporter"
        for base in type(exporter).__mro__
    )


def _is_ours(processor: object) -> bool:
    return type(processor).__module__.startswith("runrecord.")


def _name(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"
