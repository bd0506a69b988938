# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Content: keyed commitments always, the text itself only where the user switched capture on.

The switch is the standard variable ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``.
"""

import json
import os
from typing import Final, cast

CAPTURE_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_ON_SPANS: Final = frozenset({"SPAN_ONLY", "SPAN_AND_EVENT", "TRUE"})


class Unset:
    """The type of :data:`UNSET`."""

    def __repr__(self) -> str:
        """Show as UNSET."""
        return "UNSET"


UNSET: Final = Unset()
"""No value was given; None is a value (JSON null) and has a commitment."""


def captures_content() -> bool:
    """Say whether content may be put on spans."""
    # Asked for each record: to look is a fraction of the cost of a miss.
    return (
        CAPTURE_VARIABLE in os.environ and os.environ.get(CAPTURE_VARIABLE, "").strip().upper() in _ON_SPANS
    )


def parsed_arguments(value: object) -> object:
    """Return the JSON value of tool arguments, which some SDKs hand over as text.

    Only a text that is a JSON object or array counts, so that the commitment is the same whether an SDK shows
    the text (in an approval) or the value (in the call).
    """
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        try:
            return cast("object", json.loads(value))
        except ValueError:
            return value
    return value


def as_text(value: object) -> str:
    """Return ``value`` as JSON text for a content attribute."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def error_type(error: BaseException | type[BaseException] | str) -> str:
    """Return the low-cardinality ``error.type`` of an exception: its qualified name, never its text."""
    if isinstance(error, str):
        return error
    kind = error if isinstance(error, type) else type(error)
    module = kind.__module__
    return kind.__qualname__ if module in {"builtins", "__main__"} else f"{module}.{kind.__qualname__}"
