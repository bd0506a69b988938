# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The propagator that sits around the application's own, and lets our entries out and in as the policy says."""

from collections.abc import Iterator, MutableMapping
from typing import Final, cast
from urllib.parse import unquote_plus

from opentelemetry import baggage
from opentelemetry import context as otel_context
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagate import get_global_textmap, set_global_textmap
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from runrecord.instrumentation._remote import (
    ENTRIES,
    from_entries,
    with_entries,
    with_remote_run,
    without_entries,
)
from runrecord.instrumentation._safety import report
from runrecord.instrumentation.propagation.hosts import Peer
from runrecord.instrumentation.propagation.peers import reaches_allowed
from runrecord.instrumentation.propagation.policy import policy

_HEADER: Final = "baggage"
_TRUSTED_KEY: Final = otel_context.create_key("runrecord-trusted-carrier")
_NO_CONTEXT: Final = Context()


class RunPropagator(TextMapPropagator):
    """Sends the run id and the step index in the baggage of another propagator, to allow-listed peers only.

    The entry point ``runrecord`` is one around the W3C baggage propagator, for ``OTEL_PROPAGATORS=tracecontext,runrecord``; the
    instrumentor puts one around whatever is the global propagator.

    Args:
        inner: What is left to do everything else; only our entries are ever added or removed.
    """

    def __init__(self, inner: TextMapPropagator | None = None) -> None:
        self.inner: Final = inner if inner is not None else W3CBaggagePropagator()

    @property
    def fields(self) -> set[str]:
        """The fields of the inner propagator."""
        return self.inner.fields

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Inject with our entries if the peer of the current span is allowed, and without them otherwise."""
        context = otel_context.get_current() if context is None else context
        if not otel_context.get_value(_TRUSTED_KEY, context):
            context = _outgoing(context)
            clean(carrier)
        self.inner.inject(carrier, context, setter)

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """Extract; our entries leave the baggage, and become the remote run if the policy or the caller trusts them."""
        found = self.inner.extract(carrier, context, getter)
        return received(found, accept=policy().accept or bool(otel_context.get_value(_TRUSTED_KEY, found)))


def install() -> None:
    """Put a :class:`RunPropagator` around the global propagator, once."""
    present = get_global_textmap()
    if not isinstance(present, RunPropagator):
        set_global_textmap(RunPropagator(present))


def uninstall() -> None:
    """Undo :func:`install`, unless somebody else replaced the global propagator since."""
    present = get_global_textmap()
    if isinstance(present, RunPropagator):
        set_global_textmap(present.inner)


def send(carrier: CarrierT, context: Context | None, setter: Setter[CarrierT], *, entries: bool) -> None:
    """Inject by the global propagator, with our entries or without, as the caller decided."""
    context = otel_context.get_current() if context is None else context
    prepared = with_entries(context) if entries else without_entries(context)
    clean(carrier)
    get_global_textmap().inject(carrier, otel_context.set_value(_TRUSTED_KEY, True, prepared), setter)


def receive(carrier: CarrierT, context: Context | None, getter: Getter[CarrierT], *, accept: bool) -> Context:
    """Extract by the global propagator, and believe our entries, or not, as the caller decided."""
    marked = otel_context.set_value(_TRUSTED_KEY, accept, _NO_CONTEXT if context is None else context)
    found = get_global_textmap().extract(carrier, marked, getter)
    return otel_context.set_value(_TRUSTED_KEY, None, received(found, accept=accept))


def received(context: Context, *, accept: bool) -> Context:
    """Return ``context`` with our entries moved from its baggage to where only we read them, or dropped."""
    try:
        entries = baggage.get_all(context)
        run = from_entries(entries) if accept else None
        context = without_entries(context)
        return context if run is None else with_remote_run(run, context)
    except Exception as error:  # noqa: BLE001  # the request is served whatever happens to its telemetry
        report("a received context", error)
        return context


def _outgoing(context: Context) -> Context:
    try:
        if reaches_allowed(context, policy().hosts):
            return with_entries(context)
    except Exception as error:  # noqa: BLE001  # fail closed: what can't be judged is not sent
        report("where a request goes", error)
    return without_entries(context)


def clean(carrier: object) -> None:
    """Remove our entries from headers that were sent before, to another host: clients reuse them for a redirect."""
    try:
        if isinstance(carrier, MutableMapping):
            headers = cast("MutableMapping[object, object]", carrier)
            for name in [name for name in headers if _is_header(name)]:
                _put(headers, name, headers[name])
        elif isinstance(carrier, list):
            pairs = cast("list[object]", carrier)
            kept = list(_clean_pairs(pairs))
            if kept != pairs:
                pairs[:] = kept
    except Exception as error:  # noqa: BLE001  # a carrier is the application's
        report("a carrier", error)


def _put(headers: MutableMapping[object, object], name: object, value: object) -> None:
    cleaned = without_our_members(value)
    if cleaned is value:
        return
    if cleaned:
        headers[name] = cleaned
    else:
        del headers[name]


def _clean_pairs(pairs: list[object]) -> Iterator[object]:
    for pair in pairs:
        if isinstance(pair, tuple) and len(cast("tuple[object, ...]", pair)) == 2:  # noqa: PLR2004
            name, value = cast("tuple[object, object]", pair)
            if _is_header(name) and (cleaned := without_our_members(value)) is not value:
                if cleaned:
                    yield (name, cleaned)
                continue
        yield pair


def _is_header(name: object) -> bool:
    text = name.decode("latin-1") if isinstance(name, bytes) else name
    return isinstance(text, str) and text.lower() == _HEADER


def without_our_members(value: object) -> object:
    """Return a baggage header without our members; the very same object if there are none."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        return value
    members = text.split(",")
    kept = [member for member in members if unquote_plus(member.partition("=")[0]).strip() not in ENTRIES]
    if len(kept) == len(members):
        return value
    return ",".join(kept).encode("latin-1") if isinstance(value, bytes) else ",".join(kept)


def allowed(peer: Peer | None) -> bool:
    """Say whether the policy lets our entries go to a peer."""
    return policy().hosts.allows(peer)
