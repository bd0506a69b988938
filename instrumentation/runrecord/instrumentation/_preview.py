# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The shape of open upstream proposals beside ours, for those who want to try them out.

``RUNRECORD_PREVIEW_UPSTREAM`` names them by the numbers of their threads (``535,445``), or says ``all``; without it none is emitted.
What is emitted for which is in the table ``runrecord.semconv.previews``; one that upstream merged needs no variable.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Final

from runrecord.instrumentation._safety import note_once
from runrecord.instrumentation._state import Attributes
from runrecord.semconv.preview import Preview
from runrecord.semconv.previews import PREVIEWS

VARIABLE: Final = "RUNRECORD_PREVIEW_UPSTREAM"


class Previews:
    """The previews that are switched on."""

    def __init__(self, previews: Sequence[Preview]) -> None:
        self._events = tuple(preview for preview in previews if preview.event)
        self._spans = tuple(preview for preview in previews if not preview.event)

    def events(self, ours: str, attributes: Attributes) -> Iterator[tuple[str, Attributes]]:
        """Yield the upstream events, with their attributes, that go with the event ``ours``."""
        for preview in self._events:
            if preview.of == ours and (said := preview.said(attributes)):
                yield preview.event, said

    def on_span(self, signal: str, attributes: Attributes) -> Attributes:
        """Return ``attributes`` of a span of ours together with the upstream ones that go with them."""
        for preview in self._spans:
            if preview.of == signal and (said := preview.said(attributes)):
                attributes = {**attributes, **said}
        return attributes


def chosen(table: Sequence[Preview] = PREVIEWS) -> Previews | None:
    """Return the previews that the environment asks for, and the merged ones; None if there are none."""
    asked = {word.strip().removeprefix("#") for word in os.environ.get(VARIABLE, "").split(",")} - {""}
    known = {str(preview.number) for preview in table}
    if unknown := asked - known - {"all"}:
        note_once(
            VARIABLE,
            "%s names %s, for which there is no preview; there are %s, and all",
            VARIABLE,
            ", ".join(sorted(unknown)),
            ", ".join(sorted(known)),
        )
    on = [item for item in table if item.merged or "all" in asked or str(item.number) in asked]
    return Previews(on) if on else None
