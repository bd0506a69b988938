# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Redact serialised export requests by a policy; what cannot be looked at is never returned."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from runrecord.processors.errors import (
    ContentStoreError,
    EngineUnavailableError,
    PolicyError,
    RedactionError,
)
from runrecord.processors.redaction.actions import KEYED, Replacer, pseudonym
from runrecord.processors.redaction.confirm import Confirmer, Work
from runrecord.processors.redaction.content_store import ContentStore, open_store
from runrecord.processors.redaction.context import NOWHERE, Context
from runrecord.processors.redaction.engines import Scanner, digest, make_scanner
from runrecord.processors.redaction.explain import Explainer
from runrecord.processors.redaction.keys import KeyRule, KeyRules
from runrecord.processors.redaction.leaf import Leaves, Plan
from runrecord.processors.redaction.packs import PACKS_VERSION
from runrecord.processors.redaction.packs.discovery import find_pack
from runrecord.processors.redaction.policy import RedactionPolicy
from runrecord.processors.redaction.pseudonyms import PseudonymKey, read_previous
from runrecord.processors.redaction.quarantine import RedactionQuarantine
from runrecord.processors.redaction.rule import Rule
from runrecord.processors.redaction.rule_files import load_rules
from runrecord.processors.redaction.schema import REQUESTS
from runrecord.processors.redaction.seeds import hit_test, strict_seed
from runrecord.processors.redaction.walker import Hit, Mode, Walk
from runrecord.processors.redaction.wire import WireError
from runrecord.processors.signal import Signal

_ANY_KEY = bytes(32)
_HITS_MINIMUM = 2048
_BYTES_PER_HIT = 256
_UNTESTED = 4  # so many times as many hits are tested, which costs a microsecond each


class Redaction(NamedTuple):
    """A redacted request.

    Attributes:
        body: The request; the very same object if nothing was edited.
        counts: What was done, by rule id.
    """

    body: bytes
    counts: Mapping[str, int]


class PolicyProblem(NamedTuple):
    """One reason to refuse a policy.

    Attributes:
        path: The key in the policy.
        message: What is wrong.
        nearest: The valid name that may have been meant; may be empty.
    """

    path: tuple[str | int, ...]
    message: str
    nearest: str = ""

    def __str__(self) -> str:
        """Say it in one sentence."""
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{'.'.join(['redaction', *map(str, self.path)])}: {self.message}{hint}"


class Redactor:
    """Redacts requests; safe to use from many threads.

    Args:
        policy: The policy.
        key: The secret of ``pseudonym`` and ``hash``, 16 bytes or more.
        engine: ``hyperscan``, ``re2`` or ``stdlib``; the policy's choice if it is ``auto`` or not given.

        quarantine: Where callers set aside what cannot be redacted; for them, nothing here uses it.

    Attributes:
        quarantine: As given.

    Raises:
        PolicyError: The policy names a rule that is not there, or needs a key that is not given.
        EngineUnavailableError: The engine is not there, or refuses this many rules.
    """

    def __init__(
        self,
        policy: RedactionPolicy,
        key: bytes | None = None,
        engine: str | None = None,
        *,
        quarantine: RedactionQuarantine | None = None,
    ) -> None:
        self._policy = policy
        self.quarantine = quarantine
        rules, problems = _gather(policy)
        for problem in (*problems, *_globs(policy)):
            raise PolicyError(str(problem))
        actions: list[str] = [
            (policy.rules[rule.id].action or rule.action) if rule.id in policy.rules else rule.action
            for rule in rules
        ]
        if key is None and (policy.needs_key or KEYED & set(actions)):
            raise PolicyError("the actions 'pseudonym' and 'hash' need a key: pass key=, or use 'token'")
        current = PseudonymKey(key) if key is not None else None
        self._pseudonym_keys = (
            *((current,) if current else ()),
            *read_previous(policy.pseudonyms.previous_keys),
        )
        keys = KeyRules(
            [KeyRule(item.match, item.action, item.inside_json, item.conditions) for item in policy.keys]
            + [
                KeyRule(name, item.action, conditions=item.conditions)
                for name, settings in policy.content.items()
                for item in settings
            ]
        )
        self._store = _store(policy)
        seeds = [rule.seed for rule in rules] + keys.seeds
        keywords = [rule.keyword_bytes for rule in rules]
        self._fast: Scanner = make_scanner(
            policy.engine if engine in {None, "auto"} else str(engine), seeds, keywords
        )
        self.rules_version = (
            f"builtin-{PACKS_VERSION}+sha256:{digest([repr(rule) for rule in rules] + actions)}"
        )
        self._plan = Plan(
            confirmer=Confirmer(rules, policy.allow.values),
            actions=actions,
            keys=keys,
            replacer=Replacer(current),
            attribute_bytes=policy.limits.attribute_bytes,
            on_oversize=policy.limits.on_oversize,
            preview_bytes=policy.offload.preview_bytes if policy.offload else 0,
            store=self._store,
            annotate=policy.annotate,
            rules_version=self.rules_version,
            narrow=self._fast.narrow,
        )
        self._seeds, self._keywords = seeds, keywords
        tests = (hit_test(rule) for rule in rules)
        self._tests = {order: test for order, test in enumerate(tests) if test is not None}
        self._lock = threading.Lock()
        self._strict_scanner: Scanner | None = None

    def __repr__(self) -> str:
        """Never show the key or the allowed values."""
        return f"Redactor(engine={self.engine_name!r}, rules_version={self.rules_version!r})"

    @property
    def engine_name(self) -> str:
        """The engine in use."""
        return self._fast.name

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The pattern rules in order."""
        return self._plan.rules

    @property
    def explainer(self) -> Explainer:
        """The same policy for people: what it finds in a text, and why."""
        return Explainer(self._policy, self._plan)

    @property
    def may_wait(self) -> bool:
        """Whether redacting can wait for a disk or a network, because large texts are offloaded."""
        return self._store is not None

    def pseudonyms(self, kind: str, text: str, tenant: str = "") -> list[str]:
        """The pseudonyms of a text: under the current key first, then under the previous ones.

        Args:
            kind: What it is, like ``email``; ``redacted`` for one that a key rule has made.
            text: The text as it was before redaction.
            tenant: Whose text it was.
        """
        return [pseudonym(key, kind, text.encode(), tenant.encode()).decode() for key in self._pseudonym_keys]

    def redact(self, signal: Signal, body: bytes, tenant: str | None = None) -> Redaction:
        """Redact a serialised Export*ServiceRequest. What is offloaded is stored when this returns.

        Args:
            signal: Which request it is.
            body: The request.
            tenant: The tenant that the transport has established; it counts before any attribute.

        Raises:
            RedactionError: The request could not be looked at in full; it must not be forwarded.
        """
        try:
            return self._redact(signal, body, tenant)
        except WireError as error:
            raise RedactionError(
                f"malformed {signal.value} request: {error}; the sender must send OTLP protobuf",
                disposition="quarantine" if self._policy.on_error == "quarantine" else "reject",
                malformed=True,
            ) from None
        except RedactionError as error:
            if self._policy.on_error == "mask_all":
                return self._mask_all(signal, body)
            error.disposition = self._policy.on_error
            raise
        except ContentStoreError as error:
            if self._policy.on_error == "mask_all":
                return self._mask_all(signal, body)
            raise RedactionError(str(error), disposition=self._policy.on_error, temporary=True) from None
        except Exception as error:  # noqa: BLE001  whatever it is, the request must not pass
            if self._policy.on_error == "mask_all":
                return self._mask_all(signal, body)
            # The original error may quote the text that it failed on: only its type is told.
            raise RedactionError(
                f"redaction failed ({type(error).__name__}); the request was not forwarded",
                disposition=self._policy.on_error,
            ) from None

    @property
    def _strict(self) -> Scanner | None:
        """Made when it is first needed, which it seldom is; None if it would be the same as the fast one."""
        rules = self._plan.rules
        if all(rule.left != "number" for rule in rules):
            return None
        with self._lock:
            if self._strict_scanner is None:
                seeds = [
                    strict_seed(seed) if index < len(rules) and rules[index].left == "number" else seed
                    for index, seed in enumerate(self._seeds)
                ]
                self._strict_scanner = make_scanner(self._fast.name, seeds, self._keywords)
            return self._strict_scanner

    def _redact(self, signal: Signal, body: bytes, tenant: str | None) -> Redaction:
        hits, mode = self._scan(body)
        if mode is Mode.HITS and not hits and self._plan.attribute_bytes is None:
            return Redaction(body, {})
        return self._walk(signal, body, hits, mode, tenant)

    def _scan(self, body: bytes) -> tuple[list[Hit], Mode]:
        if self._plan.keys.needs_walk:
            return [], Mode.EVERYTHING
        budget = max(_HITS_MINIMUM, len(body) // _BYTES_PER_HIT)
        hits = self._fast.scan(body, budget * _UNTESTED)
        if hits is not None:
            test_of = self._tests.get
            hits = [
                hit for hit in hits if (test := test_of(hit.order)) is None or test(body, hit.position + 1)
            ]
            if len(hits) <= budget:
                return hits, Mode.HITS
        # Digits all over: look only where a number can begin. A field of unknown number has a tag that the strict
        # seeds do not know, so all of those are visited.
        strict = self._strict
        hits = strict.scan(body, budget) if strict is not None else None
        return ([], Mode.EVERYTHING) if hits is None else (hits, Mode.STRUCTURE)

    def _walk(
        self, signal: Signal, body: bytes, hits: list[Hit], mode: Mode, tenant: str | None = None
    ) -> Redaction:
        limits = self._policy.limits
        leaves = Leaves(self._plan, Work(limits.leaf_confirms, limits.request_confirms))
        context = Context(tenant=tenant.encode()) if tenant is not None else NOWHERE
        walk = Walk(self._plan, leaves, body, hits, mode, context=context)
        redacted = walk.run(REQUESTS[signal])
        if walk.offloaded and self._store is not None:
            self._store.put({text.digest: text.content for text in walk.offloaded})
        return Redaction(redacted, dict(leaves.counts))

    def _mask_all(self, signal: Signal, body: bytes) -> Redaction:
        try:
            return self._walk(signal, body, [], Mode.MASK)
        except WireError as error:
            raise RedactionError(f"malformed {signal.value} request: {error}", malformed=True) from None


def check_policy(policy: RedactionPolicy) -> list[PolicyProblem]:
    """Find everything for which a redactor would refuse a policy, except that a key is missing.

    Args:
        policy: A policy whose keys and values are valid one by one.

    Returns:
        The problems; none if a redactor can be made of it.
    """
    _, problems = _gather(policy)
    problems += _globs(policy)
    if not problems:
        try:
            Redactor(policy, key=_ANY_KEY)
        except EngineUnavailableError as error:
            problems.append(PolicyProblem(("engine",), str(error)))
        except PolicyError as error:
            problems.append(PolicyProblem((), str(error)))
    return problems


def _gather(policy: RedactionPolicy) -> tuple[list[Rule], list[PolicyProblem]]:
    """Collect the rules that a policy names, and what is wrong with them."""
    known: dict[str, Rule] = {}
    problems: list[PolicyProblem] = []

    def take(path: tuple[str | int, ...], load: Callable[[], Iterable[Rule]]) -> None:
        try:
            for rule in load():
                if known.get(rule.id, rule) is not rule:  # the same one may be in two packs
                    problems.append(
                        PolicyProblem(
                            path, f"two rules have the id {rule.id!r}; rename the one in your rule file"
                        )
                    )
                known.setdefault(rule.id, rule)
        except PolicyError as error:
            problems.append(PolicyProblem(path, str(error)))

    for index, name in enumerate(policy.packs):
        take(("packs", index), partial(find_pack, name))
    for index, path in enumerate(policy.rule_files):
        take(("rule_files", index), partial(load_rules, path))
    if not problems:  # otherwise the rule may be in what could not be loaded
        for name in policy.rules:
            if name not in known:
                near = next(iter(difflib.get_close_matches(name, known, n=1)), "")
                hint = "" if near else "; `docs/redaction.md` lists the rules"
                problems.append(PolicyProblem(("rules", name), f"no rule {name!r}{hint}", near))
    rules = [rule for rule in known.values() if rule.id not in policy.rules or policy.rules[rule.id].enabled]
    return rules, problems


def _globs(policy: RedactionPolicy) -> list[PolicyProblem]:
    return [
        PolicyProblem(("content", name), f"{name!r} must be an exact key; put globs under redaction.keys")
        for name in policy.content
        if any(char in name for char in "*?")
    ]


def _store(policy: RedactionPolicy) -> ContentStore | None:
    if policy.limits.on_oversize != "offload" or policy.offload is None:
        return None
    return open_store(policy.offload.store, policy.offload.options)
