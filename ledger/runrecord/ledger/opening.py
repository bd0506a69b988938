# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What of an entry depends on the key of its run: under which label each value is committed, and what is left without the key.

To open a commitment is to show the value and the salt of its label (:meth:`runrecord.semconv.commitment.RunKey.salt`); anyone can
then check the two with :func:`runrecord.semconv.commitment.commit_with_salt`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from runrecord.ledger.entry import MAX_LINKS, Entry, Kind
from runrecord.semconv import attributes as names
from runrecord.semconv.commitment import LABEL_DIGEST, RunKey

LABEL_RESOURCE: Final = "resource"
"""For the whole resource, in ``origin.resource``."""
DIGESTS: Final = frozenset(
    {
        names.APPROVAL_SUBJECT_DIGEST,
        names.APPROVAL_SUBJECT_MODIFIED_DIGEST,
        names.ARGUMENTS_DIGEST,
        names.RESULT_DIGEST,
        names.SUBJECT_DIGEST,
    }
)
"""Attributes that the app made with the tenant's key of the run; an entry holds a commitment to them, all under one label."""
ERASED: Final = "erased"
"""The member of ``truncated`` that says how many commitments were left out, since the run had been erased."""


def label(entry: Entry, name: str) -> str:
    """Return the label under which the value of an attribute is committed.

    Args:
        entry: The entry.
        name: One of its ``commitments``, or one of ``DIGESTS``.
    """
    if name in DIGESTS:
        return LABEL_DIGEST
    if entry.kind == Kind.RESOURCE:
        return f"{LABEL_RESOURCE}/{name}"
    return attribute_label(entry.trace_id, entry.span_id, name)


def attribute_label(trace_id: str, span_id: str, name: str) -> str:
    """Return the label of an attribute of a span or a log record."""
    return f"attribute/{trace_id}/{span_id}/{name}"


def opens(key: RunKey, entry: Entry, name: str, value: Any) -> bool:
    """Return whether a value is the one that an entry commits to.

    Args:
        key: The key of its run.
        entry: The entry.
        name: The attribute.
        value: As entries write it: a text, or wrapped as in OTLP/JSON.
    """
    committed = entry.text(name) if name in DIGESTS else entry.commitments.get(name)
    return committed is not None and key.commit(label(entry, name), value) == committed


def without_content(entry: Entry) -> Entry:
    """Return what is recorded of a record whose run was erased: what stands in clear, and how many commitments there would be."""
    left = ERASED, "commitments"
    digests = entry.attributes.keys() & DIGESTS
    count = len(entry.commitments) + len(digests) + bool(entry.origin.resource)
    count += sum(entry.truncated.get(name, 0) for name in left)
    truncated = {name: number for name, number in entry.truncated.items() if name not in left}
    return replace(
        entry,
        attributes={name: value for name, value in entry.attributes.items() if name not in digests},
        commitments={},
        origin=replace(entry.origin, resource=""),
        truncated={**truncated, ERASED: count} if count else truncated,
    )


def differ_by_erasure(one: Entry, other: Entry) -> bool:
    """Return whether two entries are the same record, of which one was recorded when the run had been erased."""
    if (ERASED in one.truncated) == (ERASED in other.truncated):
        return False
    return _bare(one) == _bare(other)


def _bare(entry: Entry) -> Entry:
    """Return an entry without content, also cut to the links that one keeps that was too long with its content."""
    bare = without_content(entry)
    cut = len(bare.links) - MAX_LINKS
    if cut <= 0:
        return bare
    return replace(bare, links=bare.links[:MAX_LINKS], truncated={**bare.truncated, "links": cut})
