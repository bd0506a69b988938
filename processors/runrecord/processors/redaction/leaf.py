# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Redact one text field: keys inside it, then patterns, then its size."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from runrecord.processors.redaction.actions import KEYED, TOKEN, Replacer, already_redacted
from runrecord.processors.redaction.annotate import Findings
from runrecord.processors.redaction.confirm import Confirmer, LeafBudgetError, Match, Work
from runrecord.processors.redaction.content_store import ContentStore
from runrecord.processors.redaction.context import NOWHERE, Context
from runrecord.processors.redaction.jsonkeys import find_values, quote
from runrecord.processors.redaction.keys import KeyRule, KeyRules
from runrecord.processors.redaction.rule import Rule
from runrecord.processors.redaction.truncate import truncated

ANY = -1
"""In the place of a rule's order: any rule may match here."""
OVER_BUDGET = "over-budget"
OVERSIZE = "oversize"
OFFLOADED = "offloaded"
MASK_ALL = "mask-all"
# A replacement can complete what was not a match before; a second round sees that.
_ROUNDS = 4
_SAFE_KEY = re.compile(rb"[a-z_]{1,40}(?:\.[a-z_]{1,40}){0,8}")
_NAME_LIMIT = 256


class DropAttribute(Exception):  # noqa: N818  control flow, not an error
    """The attribute around the field is to be removed."""


class DropRecord(Exception):  # noqa: N818  control flow, not an error
    """The span or log record around the field is to be removed."""


@dataclass(frozen=True)
class Plan:
    """A policy, ready to be applied.

    Attributes:
        confirmer: The pattern rules.
        actions: The action of each rule, in the order of the rules.
        keys: The rules by key.
        replacer: Makes the replacements.
        attribute_bytes: The size a text may have; None for any.
        on_oversize: What becomes of a larger text: ``truncate``, ``drop`` or ``offload``.
        preview_bytes: The size of what stays of an offloaded text.
        annotate: Whether records say what was done.
        rules_version: The version of the set of rules.
        store: Where large texts go, if they go anywhere.
        narrow: Tells which seeds are in a text, if an engine can tell quickly; None if it cannot.
    """

    confirmer: Confirmer
    actions: Sequence[str]
    keys: KeyRules
    replacer: Replacer
    attribute_bytes: int | None
    on_oversize: str
    preview_bytes: int
    annotate: bool
    rules_version: str
    store: ContentStore | None = None
    narrow: Callable[[bytes], Collection[int] | None] | None = None

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The pattern rules in order."""
        return self.confirmer.rules

    @cached_property
    def asks_for_facts(self) -> bool:
        """Whether it matters to any rule where a text is."""
        keyed = KEYED & ({*self.actions} | {rule.action for rule in self.keys.rules})
        return bool(keyed) or any(rule.conditions for rule in self.keys.rules)

    def has_key_hit(self, hits: Collection[int]) -> bool:
        """Whether the seed of a key rule is among the hits."""
        return bool(self.keys) and (ANY in hits or any(order >= len(self.actions) for order in hits))

    def orders(self, hits: Collection[int], text: bytes) -> Collection[int]:
        """The pattern rules to run on a text for these hits."""
        count = len(self.actions)
        if ANY in hits:
            narrowed = self.narrow(text) if self.narrow is not None else None
            if narrowed is None:
                return range(count)
            hits = narrowed
        return [order for order in hits if order < count]


class Leaves:
    """Applies a plan to the text fields of one request, and counts.

    Args:
        plan: What to do.
        work: The counter of candidates.

    Attributes:
        counts: Edits by rule id.
        findings: What was done in the record at hand; the walker replaces it from record to record.
        context: The place of the text at hand, for the conditions of rules; the walker replaces it, too.
    """

    def __init__(self, plan: Plan, work: Work) -> None:
        self._plan = plan
        self._work = work
        self.counts: Counter[str] = Counter()
        self.findings = Findings()
        self.context: Context = NOWHERE

    def note(self, rule_id: str, kind: str, edits: int = 1) -> None:
        """Count edits by a rule; none for one that only tags."""
        self.counts[rule_id] += max(edits, 1)
        self.findings.count += edits
        self.findings.kinds.add(kind)

    def note_key(self, rule: KeyRule, edits: int = 1) -> None:
        """Count an edit by a key rule."""
        self.note(f"key:{rule.match}", "key", edits)

    def redact(
        self,
        text: bytes,
        hits: Mapping[int, Sequence[int]],
        path: bytes | None,
        *,
        in_record: bool,
        in_attribute: bool,
    ) -> bytes:
        """Redact one text, whatever its size; :meth:`fit` comes next.

        Args:
            text: The text.
            hits: Which rules may match: places in the order, or ``ANY``; with the offsets of the ends of hits.
            path: The key of the text, if keys inside it must be looked at.
            in_record: Whether there is a record around it that could be removed.
            in_attribute: Whether there is an attribute around it that could be removed.

        Raises:
            DropAttribute: A rule removes the attribute.
            DropRecord: A rule removes the record.
            RedactionError: The confirm budget of the request is spent.
        """
        kept = text
        if path is not None and self._plan.keys.inside_json:
            kept = self._inside_json(text, path, in_record=in_record)
        orders = self._plan.orders(hits, kept)
        if orders:
            ends = hits if kept is text else None
            kept = self._patterns(kept, orders, ends, in_record=in_record, in_attribute=in_attribute)
        return kept

    def fit(self, text: bytes, *, in_attribute: bool, can_refer: bool) -> tuple[bytes, bool]:
        """Bring a redacted text to the size that is allowed.

        Args:
            text: The text.
            in_attribute: Whether there is an attribute around it that could be removed.
            can_refer: Whether there is a place for a reference to the whole text.

        Returns:
            The text that stays, and whether the whole of it is to be offloaded.

        Raises:
            DropAttribute: The policy removes the attribute.
        """
        limit = self._plan.attribute_bytes
        if limit is None or len(text) <= limit:
            return text, False
        if self._plan.on_oversize == "offload" and can_refer:
            self.note(OFFLOADED, OFFLOADED)
            return self._shortened(text, self._plan.preview_bytes), True
        self.note(OVERSIZE, OVERSIZE)
        if self._plan.on_oversize == "drop" and in_attribute:
            raise DropAttribute
        return self._shortened(text, limit), False

    def _shortened(self, text: bytes, limit: int) -> bytes:
        """Cut a text, and look at what is left: JSON is written anew, so what was escaped no longer is."""
        kept = truncated(text, limit)
        orders = self._plan.orders({ANY}, kept)
        if orders:
            kept = self._patterns(kept, orders, in_record=False, in_attribute=False)
        return kept if len(kept) <= limit else TOKEN

    def name(self, path: bytes) -> bytes:
        """The path of keys to an offloaded text, as a name that carries no secret."""
        if _SAFE_KEY.fullmatch(path):
            return path
        uncounted = Leaves(self._plan, self._work)
        orders = range(len(self._plan.actions))
        clean = uncounted._patterns(path, orders, in_record=False, in_attribute=False)
        return clean if len(clean) <= _NAME_LIMIT else b"content"

    def _patterns(
        self,
        text: bytes,
        orders: Collection[int],
        ends: Mapping[int, Sequence[int]] | None = None,
        *,
        in_record: bool,
        in_attribute: bool,
    ) -> bytes:
        for first in (True, *[False] * (_ROUNDS - 1)):
            try:
                matches = self._plan.confirmer.find(text, orders, self._work, ends if first else None)
            except LeafBudgetError:
                self.note(OVER_BUDGET, OVER_BUDGET.replace("-", "_"))
                return TOKEN
            pieces: list[bytes] = []
            position = 0
            for match in matches:
                replacement = self._replacement(
                    text, match, first=first, in_record=in_record, in_attribute=in_attribute
                )
                if replacement is not None:
                    pieces += (text[position : match.start], replacement)
                    position = match.end
            if not pieces:
                break
            text = b"".join((*pieces, text[position:]))
        return text

    def _replacement(
        self, text: bytes, match: Match, *, first: bool, in_record: bool, in_attribute: bool
    ) -> bytes | None:
        rule = self._plan.rules[match.order]
        action = self._plan.actions[match.order]
        if action == "tag":
            if first:
                self.note(rule.id, rule.kind, edits=0)
            return None
        tenant = self._tenant(action)
        replacement = self._plan.replacer.match(action, rule.kind, text, match[:2], tenant)
        if text[match.start : match.end] == replacement:
            return None
        self.note(rule.id, rule.kind)
        if action == "drop_span" and in_record:
            raise DropRecord
        if action == "drop" and in_attribute:
            raise DropAttribute
        return replacement

    def _tenant(self, action: str) -> bytes:
        return (self.context.get("tenant") or b"") if action in KEYED else b""

    def keyed_value(self, rule: KeyRule, text: bytes | None, raw: bytes) -> bytes | None:
        """The text that a key rule puts in place of an attribute's value.

        Args:
            rule: The rule.
            text: The value, if it is text.
            raw: The serialised AnyValue.

        Returns:
            The replacement; None if the value is one already.
        """
        if text is not None and already_redacted(text):
            return None
        if rule.action == "mask" and text is None:
            return b"****"
        original = raw if text is None else text
        return self._plan.replacer.value(rule.action, "redacted", original, self._tenant(rule.action))

    def _inside_json(self, text: bytes, path: bytes, *, in_record: bool) -> bytes:
        keys = self._plan.keys
        pieces: list[bytes] = []
        position = 0
        for value in find_values(text, path, lambda key: keys.find(key, self.context, nested=True)):
            rule = value.found
            if rule.action == "keep":
                continue
            if rule.action == "tag":
                self.note_key(rule, edits=0)
                continue
            if rule.action == "drop_span" and in_record:
                self.note_key(rule)
                raise DropRecord
            if already_redacted(value.value):
                continue
            if rule.action in {"drop", "drop_span"}:
                mark = quote(value.nesting) if value.is_string else b""
                start, end, content = value.start - len(mark), value.end + len(mark), b"null"
                if value.is_string and text[value.end : end] != mark:
                    end = value.end  # cut-off JSON
            else:
                tenant = self._tenant(rule.action)
                content = self._plan.replacer.value(rule.action, "redacted", value.value, tenant)
                if not value.is_string:
                    content = b"****" if rule.action == "mask" else content
                    content = quote(value.nesting) + content + quote(value.nesting)
                start, end = value.start, value.end
            self.note_key(rule)
            pieces += (text[position:start], content)
            position = end
        return b"".join((*pieces, text[position:])) if pieces else text

    def mask_in_place(self, text: bytes, hits: Collection[int]) -> bytes:
        """Mask what is found in bytes of unknown structure, whose length must stay.

        Raises:
            RedactionError: The confirm budget of the request is spent.
        """
        orders = [order for order in self._plan.orders(hits, text) if self._plan.actions[order] != "tag"]
        if not orders:
            return text
        try:
            matches = self._plan.confirmer.find(text, orders, self._work)
        except LeafBudgetError:
            self.note(OVER_BUDGET, OVER_BUDGET.replace("-", "_"))
            return b"*" * len(text)
        masked = bytearray(text)
        for match in matches:
            rule = self._plan.rules[match.order]
            if masked[match.start : match.end].strip(b"*"):
                self.note(rule.id, rule.kind)
                masked[match.start : match.end] = b"*" * (match.end - match.start)
        return bytes(masked)

    def masked(self, text: bytes) -> bytes:
        """The marker in place of a text of a request that could not be looked at."""
        if already_redacted(text):
            return text
        self.counts[MASK_ALL] += 1
        self.findings.count += 1
        self.findings.kinds.add(MASK_ALL.replace("-", "_"))
        return TOKEN

    def masked_key(self, key: bytes) -> bytes:
        """A key of such a request: it stays if it is plainly a name."""
        return key if _SAFE_KEY.fullmatch(key) else self.masked(key)
