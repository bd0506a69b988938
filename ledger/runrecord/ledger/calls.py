# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Tool calls and approvals, each joined from its records, and what is about which call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from runrecord.ledger.entry import Entry
from runrecord.ledger.records import Record
from runrecord.semconv import attributes as names

T = TypeVar("T")

_NO_EFFECTS: Final = frozenset({"", "none", "read"})


@dataclass(frozen=True)
class Approval:
    """A request and its answers, joined by the durable approval id.

    Attributes:
        id: ``runrecord.approval.id``.
        requests: The requests, in run order; more than one if it was asked again.
        answers: The answers, in run order; the last one counts.
    """

    id: str
    requests: tuple[Record, ...]
    answers: tuple[Record, ...]

    @property
    def status(self) -> str:
        """The status of the last answer, ``pending`` without one."""
        return self.answers[-1].entry.text(names.APPROVAL_STATUS) if self.answers else "pending"

    @property
    def subject(self) -> str:
        """Id of what was asked for, for a tool call its call id."""
        return first_text(self._entries, names.SUBJECT_ID)

    @property
    def subject_name(self) -> str:
        """Name of what was asked for, for a tool call the tool."""
        return first_text(self._entries, names.SUBJECT_NAME)

    @property
    def digests(self) -> frozenset[str]:
        """Commitments to what was shown, and to what an answer changed it to."""
        attributes = (names.APPROVAL_SUBJECT_DIGEST, names.APPROVAL_SUBJECT_MODIFIED_DIGEST)
        return frozenset(d for e in self._entries for a in attributes if (d := e.text(a)))

    def covers(self, digest: str) -> bool:
        """Return whether the last answer is about exactly these arguments: those that were shown, or those it changed them to."""
        answer = self.answers[-1].entry if self.answers else None
        if answer is not None and self.status == "modified":
            return digest != "" and digest == answer.text(names.APPROVAL_SUBJECT_MODIFIED_DIGEST)
        shown = {entry.text(names.APPROVAL_SUBJECT_DIGEST) for entry in self._entries} - {""}
        return digest != "" and shown == {digest}

    @property
    def records(self) -> tuple[Record, ...]:
        """Requests and answers."""
        return self.requests + self.answers

    @property
    def _entries(self) -> list[Entry]:
        return [record.entry for record in self.records]


@dataclass(frozen=True)
class ToolCall:
    """A tool call, what governed it, and what it changed.

    Attributes:
        result: The finished call, or None if only its announcement is here.
        intent: The announcement made before the call, or None.
        decisions: Policy decisions about it, in run order.
        approvals: Approvals for it, in run order.
    """

    result: Record | None
    intent: Record | None
    decisions: tuple[Record, ...] = ()
    approvals: tuple[Approval, ...] = ()

    @property
    def record(self) -> Record:
        """The result if there is one, else the intent."""
        record = self.result or self.intent
        assert record is not None
        return record

    @property
    def entry(self) -> Entry:
        """The entry of ``record``."""
        return self.record.entry

    @property
    def tool(self) -> str:
        """Name of the tool."""
        named = self.entry.text(names.GEN_AI_TOOL_NAME) or self.entry.text(names.SUBJECT_NAME)
        return named or self.entry.name.removeprefix("execute_tool ")

    @property
    def call_id(self) -> str:
        """Id of the call, or empty."""
        return self.entry.text(names.GEN_AI_TOOL_CALL_ID) or self.entry.text(names.SUBJECT_ID)

    @property
    def digest(self) -> str:
        """Commitment to the arguments it ran with, or empty."""
        return self.entry.text(names.ARGUMENTS_DIGEST)

    @property
    def effect(self) -> str:
        """Side-effect type, or empty if it was not declared."""
        return self.entry.text(names.SIDE_EFFECT_TYPE)

    @property
    def changes_something(self) -> bool:
        """Whether it is declared to change something outside the agent; an unknown type counts as one."""
        if self.effect in _NO_EFFECTS:
            return self.entry.flag(names.TOOL_DESTRUCTIVE) is True or (
                not self.effect and self.entry.flag(names.SIDE_EFFECT_COMMITTED) is True
            )
        return True

    @property
    def declares_effect(self) -> bool:
        """Whether anything states what it does: a side-effect type, that it only reads, or that it changes something."""
        return self.effect != "" or self.entry.flag(names.TOOL_READ_ONLY) is True or self.changes_something

    @property
    def may_change_something(self) -> bool:
        """Whether it is declared to change something, or nothing is known about what it does."""
        return self.changes_something or not self.declares_effect

    @property
    def took_effect(self) -> bool:
        """Whether the change happened, as far as the records say; False needs a statement that it did not."""
        entry = self.entry
        if self.result is None or entry.flag(names.DRY_RUN) or entry.flag(names.IDEMPOTENCY_DEDUPLICATED):
            return False
        committed = entry.flag(names.SIDE_EFFECT_COMMITTED)
        return committed if committed is not None else self.changes_something and entry.status != "error"


class Matcher(Generic[T]):
    """Finds what is about a tool call: by call id where both sides have one, else by the commitment to the arguments."""

    def __init__(self) -> None:
        self._items: list[tuple[str, T]] = []
        self._by_subject: defaultdict[str, list[int]] = defaultdict(list)
        self._by_digest: defaultdict[str, list[int]] = defaultdict(list)

    def add(self, item: T, subject: str, digests: Iterable[str]) -> None:
        """Add something about a subject; the order of adding is kept."""
        if subject:
            self._by_subject[subject].append(len(self._items))
        for digest in digests:
            if digest:
                self._by_digest[digest].append(len(self._items))
        self._items.append((subject, item))

    def matching(self, call: ToolCall) -> tuple[T, ...]:
        """Return what is about a call, in the order of adding."""
        found = set(self._by_subject.get(call.call_id, ())) if call.call_id else set[int]()
        for place in self._by_digest.get(call.digest, ()):
            if not call.call_id or not self._items[place][0]:
                found.add(place)
        return tuple(self._items[place][1] for place in sorted(found))


def first_text(entries: Iterable[Entry], name: str) -> str:
    """Return the first text that one of the entries has under a name, or an empty string."""
    return next((value for entry in entries if (value := entry.text(name))), "")
