# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The entry: one record of a run, as the canonical bytes that become a leaf of the log.

A leaf is RFC 8785 (JCS) JSON of ``runrecord.ledger.entry/v1``. Strings stay bare; every other attribute value is wrapped
as in OTLP/JSON (``{"intValue":"1"}``), so that no number is ever re-formatted by a reader, with doubles as the
one exception (``{"doubleValue":0.5}``, the JCS form). Times and counters are decimal strings. A member whose value is empty is absent.
Parsing is strict: a leaf that is not byte for byte what its parsed form encodes to is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final

from runrecord.ledger.errors import EntryTooLarge, MalformedError
from runrecord.ledger.strict_json import (
    JSON,
    StrictJsonError,
    array,
    decimal,
    mapping,
    read_object,
    refuse,
    string,
    string_map,
)
from runrecord.ledger.tlog import leaf_hash
from runrecord.ledger.values import encode_members, unwrap

SCHEMA: Final = "runrecord.ledger.entry/v1"
MAX_LEAF: Final = 65_535
"""Longest leaf in bytes (C2SP tlog-tiles frames entries with a uint16 length)."""
MAX_LINKS: Final = 32
"""Links that an entry too long for a leaf keeps."""

_KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_SPAN_ID: Final = re.compile(r"[0-9a-f]{16}")
_COMMITMENT: Final = re.compile(r"hmac-sha256:[0-9a-f]{64}")
_STATUS: Final = frozenset({"unset", "ok", "error"})


class Kind:
    """The kinds of schema v1. Open on the wire: a reader keeps a kind it does not know."""

    RUN_OPEN: Final = "run_open"
    RUN_CLOSE: Final = "run_close"
    SOURCE_CLOSE: Final = "source_close"
    RUN_ABANDONED: Final = "run_abandoned"
    STEP: Final = "step"
    TOOL_INTENT: Final = "tool_intent"
    TOOL_RESULT: Final = "tool_result"
    MODEL_CALL: Final = "model_call"
    POLICY_DECISION: Final = "policy_decision"
    APPROVAL_REQUEST: Final = "approval_request"
    APPROVAL_DECISION: Final = "approval_decision"
    VERIFICATION: Final = "verification"
    ESCALATION: Final = "escalation"
    COMPENSATION: Final = "compensation"
    RESOURCE: Final = "resource"
    LATE: Final = "late"
    GAP: Final = "gap"
    CONFLICT: Final = "conflict"
    ERASURE: Final = "erasure"
    KEY_ROTATION: Final = "key_rotation"
    EPOCH_OPEN: Final = "epoch_open"
    EPOCH_CLOSE: Final = "epoch_close"
    PRUNED: Final = "pruned"
    LEGAL_HOLD: Final = "legal_hold"


DONE_TO_RUNS: Final = frozenset({Kind.ERASURE, Kind.LEGAL_HOLD})
"""Kinds about what was done to a run, maybe long after it: its times are without theirs."""


KINDS: Final = frozenset(value for name, value in vars(Kind).items() if name.isupper())
"""All of them."""
_ONE_OF_EACH: Final[Mapping[str, tuple[str, ...]]] = {
    Kind.KEY_ROTATION: ("old", "new"),
    Kind.EPOCH_CLOSE: ("epoch",),
    Kind.EPOCH_OPEN: ("epoch",),
    Kind.PRUNED: ("minimum", "bundles"),
}
"""Kinds of which a log holds one for each of these details, whatever else it says: writers that state it at the same time agree."""


class MalformedEntry(MalformedError):  # noqa: N818 - named as its siblings are
    """Bytes are not the canonical form of an entry."""


class UnknownSchema(MalformedError):  # noqa: N818
    """An entry of a schema that this version can't read: its place in the log can be proven, its content can't be judged."""


@dataclass(frozen=True)
class Link:
    """A span that this record refers to, as lower-case hex ids (32 and 16 digits)."""

    trace_id: str
    span_id: str


@dataclass(frozen=True)
class Origin:
    """Who emitted a record.

    Attributes:
        resource: Keyed commitment to the whole OTLP resource.
        service: ``service.name``.
        service_version: ``service.version``.
        scope: Name of the instrumentation scope.
        scope_version: Its version.
        schema_url: The schema of the conventions that the emitter followed.
    """

    resource: str = ""
    service: str = ""
    service_version: str = ""
    scope: str = ""
    scope_version: str = ""
    schema_url: str = ""


_NOBODY: Final = Origin()
_ORIGIN_FIELDS: Final = tuple(f.name for f in fields(Origin))
_STRINGS: Final = ("tenant", "run", "source", "trace_id", "span_id", "parent_span_id", "name")


@dataclass(frozen=True)
class Entry:
    """One record of a run.

    Attributes:
        kind: What is recorded, one of ``Kind`` or a kind of a later release.
        run: Run id; empty for records about the ledger itself.
        phase: ``end`` for a finished span; together with the kind part of the deduplication key.
        tenant: Tenant id, or empty.
        source: Id of the emitter, new per process and recorder.
        seq: Counter of the source in this run, set when the span started, or None.
        trace_id: 32 hex digits, or empty for a record that the ledger wrote itself.
        span_id: 16 hex digits, or empty.
        parent_span_id: 16 hex digits, or empty.
        name: Name of the span, low-cardinality.
        start: Start in nanoseconds since the Unix epoch, a claim of the emitter.
        end: End, the same.
        status: unset, ok or error.
        links: Spans that this one refers to.
        attributes: Allow-listed metadata, wrapped as described above.
        commitments: Attribute name to keyed commitment, for everything else.
        origin: Who emitted it.
        detail: Facts stated by the ledger (``conflict``, ``gap``, ``run_abandoned``, ...).
        truncated: What was cut to fit a leaf: member name to the number of items dropped.
    """

    kind: str
    run: str = ""
    phase: str = "end"
    tenant: str = ""
    source: str = ""
    seq: int | None = None
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    name: str = ""
    start: int = 0
    end: int = 0
    status: str = "unset"
    links: tuple[Link, ...] = ()
    attributes: Mapping[str, JSON] = field(default_factory=dict[str, JSON])
    commitments: Mapping[str, str] = field(default_factory=dict[str, str])
    origin: Origin = _NOBODY
    detail: Mapping[str, str] = field(default_factory=dict[str, str])
    truncated: Mapping[str, int] = field(default_factory=dict[str, int])

    def to_json(self) -> dict[str, JSON]:
        """Return the members of the leaf, without the empty ones."""
        members: dict[str, JSON] = {
            "schema": SCHEMA,
            "kind": self.kind,
            "phase": self.phase,
            "start": str(self.start),
            "end": str(self.end),
            "status": self.status,
        }
        for name in _STRINGS:
            if value := getattr(self, name):
                members[name] = value
        if self.seq is not None:
            members["seq"] = str(self.seq)
        if self.links:
            members["links"] = [{"trace_id": link.trace_id, "span_id": link.span_id} for link in self.links]
        if self.attributes:
            members["attributes"] = self.attributes
        if self.commitments:
            members["commitments"] = self.commitments
        if self.origin != _NOBODY:
            members["origin"] = {n: v for n in _ORIGIN_FIELDS if (v := getattr(self.origin, n))}
        if self.detail:
            members["detail"] = self.detail
        if self.truncated:
            members["truncated"] = {name: str(count) for name, count in self.truncated.items()}
        return members

    def leaf(self) -> bytes:
        """Return the bytes that go into the log.

        Raises:
            EntryTooLarge: They do not fit a leaf; ``fitted()`` makes an entry that does.
        """
        leaf = encode_members(self.to_json())
        if len(leaf) > MAX_LEAF:
            raise EntryTooLarge(
                f"an entry of kind {self.kind} has {len(leaf)} bytes, more than {MAX_LEAF}",
                "shorten it with Entry.fitted()",
            )
        return leaf

    def fitted(self) -> Entry:
        """Return this entry, cut by a fixed rule if it is too long for a leaf.

        Links beyond the first 32 go, then commitments (in order of their names, the last half at a time), and
        ``truncated`` says how many. The rule depends on the entry alone, so that a retry gives the same bytes.
        """
        if len(encode_members(self.to_json())) <= MAX_LEAF:
            return self
        truncated: dict[str, int] = dict(self.truncated)
        links, commitments = self.links, sorted(self.commitments)
        if len(links) > MAX_LINKS:
            truncated["links"] = truncated.get("links", 0) + len(links) - MAX_LINKS
            links = links[:MAX_LINKS]
        before = truncated.get("commitments", 0)
        cut = replace(self, links=links, truncated=truncated)
        while commitments and len(encode_members(cut.to_json())) > MAX_LEAF:
            commitments = commitments[: len(commitments) // 2]
            truncated["commitments"] = before + len(self.commitments) - len(commitments)
            kept = {name: self.commitments[name] for name in commitments}
            cut = replace(self, links=links, commitments=kept, truncated=truncated)
        return cut

    def key(self) -> bytes:
        """Return the deduplication key: the start of the trace id, and SHA-256 over (tenant, trace, span, kind, phase), each with its length.

        A record without a span (the ledger's own) is keyed by its content: the same statement twice is one entry. One about the log
        itself is keyed by what it is about: the end of an epoch, the change from one key to another.
        """
        if self.span_id:
            near = bytes.fromhex(self.trace_id[:8])  # records of one trace lie together in the index of keys
            return near + _key(b"span", self.tenant, self.trace_id, self.span_id, self.kind, self.phase)
        about = _ONE_OF_EACH.get(self.kind)
        if about is not None and not self.run:
            return _key(b"log", self.kind, *(self.detail.get(name, "") for name in about))
        return hashlib.sha256(b"content\x00" + self.leaf()).digest()

    def get(self, name: str) -> str | int | float | bool | None:
        """Return a scalar attribute without its wrapper, or None if it is absent or not a scalar."""
        return unwrap(self.attributes.get(name))

    def text(self, name: str) -> str:
        """Return a string attribute, or an empty string if it is absent or not a string."""
        value = self.attributes.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> float | None:
        """Return a numeric attribute, or None if it is absent or not a number."""
        value = unwrap(self.attributes.get(name))
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    def integer(self, name: str) -> int | None:
        """Return an integer attribute, or None if it is absent or not an integer."""
        value = unwrap(self.attributes.get(name))
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def flag(self, name: str) -> bool | None:
        """Return a boolean attribute, or None if it is absent or not a boolean."""
        value = unwrap(self.attributes.get(name))
        return value if isinstance(value, bool) else None

    @classmethod
    def parse(cls, leaf: bytes) -> Entry:
        """Read a leaf.

        Raises:
            UnknownSchema: It names a schema other than ``runrecord.ledger.entry/v1``.
            MalformedEntry: It is not the canonical form of an entry.
        """
        try:
            if len(leaf) > MAX_LEAF:
                refuse("it is longer than 65,535 bytes")
            members = read_object(leaf, parse_int=float)  # the only numbers are doubles
            schema = members.get("schema")
            if isinstance(schema, str) and schema != SCHEMA:
                raise UnknownSchema(
                    "a leaf has a schema that this version can't read", "use a newer runrecord"
                )
            entry = _read(members)
            if encode_members(entry.to_json()) != leaf:
                refuse("it is not in canonical form")
        except (ValueError, TypeError, RecursionError) as error:
            reason = str(error) if isinstance(error, StrictJsonError) else "it is not canonical JSON"
            raise MalformedEntry(f"a leaf is not an entry of {SCHEMA}: {reason}") from None
        return entry


def _key(domain: bytes, *parts: str) -> bytes:
    digest = hashlib.sha256(domain + b"\x00")
    for part in parts:
        data = part.encode("utf-8", "replace")
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.digest()


def conflict_leaf(key: bytes, old_index: int, leaf: bytes) -> bytes:
    """Return the entry that records a second, different version of a record that the log already holds.

    Args:
        key: The deduplication key that both share.
        old_index: Index of the version that came first and stays the valid one.
        leaf: The version that came second; it is kept in full, under the kind ``conflict``.
    """
    del key  # the entry holds its parts
    entry = Entry.parse(leaf)
    detail = {**entry.detail, "of": str(old_index), "kind": entry.kind, "leaf_hash": leaf_hash(leaf).hex()}
    return replace(entry, kind=Kind.CONFLICT, detail=detail).fitted().leaf()


_MEMBERS: Final = frozenset(
    {"schema", "kind", "phase", "start", "end", "status", "seq", "links", "attributes", "commitments"}
    | {"origin", "detail", "truncated"}
    | set(_STRINGS)
)


def _read(members: dict[str, JSON]) -> Entry:
    if not members.keys() <= _MEMBERS:
        refuse("it has a member that the schema does not know")
    strings = {name: string(members, name) for name in _STRINGS}
    kind, phase, status = (string(members, name) for name in ("kind", "phase", "status"))
    if not _KIND.fullmatch(kind) or status not in _STATUS or not phase:
        refuse("its kind, phase or status is not one of the schema")
    _check_id(_TRACE_ID, strings["trace_id"])
    _check_id(_SPAN_ID, strings["span_id"])
    _check_id(_SPAN_ID, strings["parent_span_id"])
    commitments = string_map(members, "commitments")
    if not all(_COMMITMENT.fullmatch(value) for value in commitments.values()):
        refuse("a commitment is not hmac-sha256")
    attributes = mapping(members, "attributes")
    if not all(isinstance(value, (str, dict)) for value in attributes.values()):
        refuse("an attribute is neither a string nor wrapped")
    origin = string_map(members, "origin")
    if not origin.keys() <= set(_ORIGIN_FIELDS):
        refuse("origin has a member that the schema does not know")
    return Entry(
        kind=kind,
        phase=phase,
        status=status,
        start=decimal(members.get("start"), "start"),
        end=decimal(members.get("end"), "end"),
        seq=decimal(members["seq"], "seq") if "seq" in members else None,
        links=tuple(_link(item) for item in array(members, "links")),
        attributes=attributes,
        commitments=commitments,
        origin=Origin(**origin),
        detail=string_map(members, "detail"),
        truncated={n: decimal(count, n) for n, count in string_map(members, "truncated").items()},
        **strings,
    )


def _check_id(pattern: re.Pattern[str], value: str) -> None:
    if value and not pattern.fullmatch(value):
        refuse("an id is not lower-case hex of the right length")


def _link(item: JSON) -> Link:
    match item:
        case {"trace_id": str(trace_id), "span_id": str(span_id), **rest} if not rest:
            if _TRACE_ID.fullmatch(trace_id) and _SPAN_ID.fullmatch(span_id):
                return Link(trace_id, span_id)
        case _:
            pass
    return refuse("a link is not a pair of ids")
