# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The shape of one upstream proposal beside ours: how an event or a span attribute of ours is said upstream.

``runrecord.semconv.previews`` holds one for each row of ``upstream/bridges.yaml`` that can be said without loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

__all__ = ["Preview"]

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Preview:
    """How one thing of ours is said upstream.

    Attributes:
        number: The thread in the upstream repository.
        merged: Whether upstream took it.
        of: The log event or the span signal of ours that it goes with.
        event: The name of the upstream event that is emitted beside ours; empty where attributes are set on the span.
        when: What our attributes must be for it.
        attributes: Our attribute to the upstream one that says the same.
        constants: Upstream attributes that have this value always.
        values: Our attribute to its values that have another name upstream.
    """

    number: int
    merged: bool
    of: str
    event: str = ""
    when: Mapping[str, str] = field(default_factory=dict[str, str])
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    constants: Mapping[str, str] = field(default_factory=dict[str, str])
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])

    def said(self, attributes: Mapping[str, _Value]) -> dict[str, _Value | str]:
        """Return the upstream attributes that go with ours; none if a condition does not hold."""
        if any(attributes.get(name) != value for name, value in self.when.items()):
            return {}
        upstream: dict[str, _Value | str] = {}
        for ours, theirs in self.attributes.items():
            value = attributes.get(ours)
            if value is not None:
                renamed = self.values.get(ours, {}).get(value) if isinstance(value, str) else None
                upstream[theirs] = value if renamed is None else renamed
        return {**self.constants, **upstream}
