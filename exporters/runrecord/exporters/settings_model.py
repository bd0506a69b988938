# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The sections of a configuration that the gateway and the exporters of an app share."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from runrecord.processors.redaction import RedactionPolicy


class Section(BaseModel):
    """A mapping of the file; a key that is not listed is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


def or_empty(value: Any) -> Any:
    """``grpc:`` with nothing behind it means: with its defaults."""
    return {} if value is None else value


class Compat(Section):
    """Attributes added for tracing UIs that read another convention."""

    openinference: bool = True


class Processors(Section):
    """All processors.

    Attributes:
        redaction: What is redacted.
        compat: What is added for tracing UIs.
        tail_sampling: Only the gateway samples; an app that reads the same file sends everything.
    """

    redaction: RedactionPolicy = Field(default_factory=lambda: RedactionPolicy.model_validate({}))
    compat: Compat | None = None
    tail_sampling: Any = None

    _defaults = field_validator("redaction", "compat", mode="before")(or_empty)
