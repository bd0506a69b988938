# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a policy can say: the ``redaction`` section of the configuration."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError

from runrecord.processors.errors import PolicyError
from runrecord.processors.redaction.actions import KEYED
from runrecord.processors.redaction.context import Fact
from runrecord.processors.redaction.packs import PACKS
from runrecord.processors.redaction.packs.discovery import pack_names
from runrecord.processors.redaction.rule import Action

KeyAction = Literal["token", "pseudonym", "mask", "hash", "drop", "drop_span", "tag", "keep"]


def _refuse_boolean(value: object) -> object:
    """Refuse ``true`` where a whole number belongs; pydantic would take it for 1."""
    if isinstance(value, bool):
        raise PydanticKnownError("int_type")
    return value


Name = Annotated[str, Field(min_length=1)]
Whole = Annotated[int, BeforeValidator(_refuse_boolean)]
"""A whole number, and not ``true``."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _name_the_nearest_key(cls, data: Any) -> Any:
        keys: list[object] = list(cast("Mapping[object, object]", data)) if isinstance(data, Mapping) else []
        for key in keys:
            if key not in cls.model_fields:
                near = difflib.get_close_matches(str(key), cls.model_fields, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(cls.model_fields)}"
                raise ValueError(f"unknown key {key!r}; {hint}")
        return cast("object", data)


class RuleSetting(_Section):
    """What the policy changes about one rule.

    Attributes:
        action: What replaces a match.
        enabled: Whether the rule is used.
    """

    action: Action | None = None
    enabled: bool = True


def _one_is_a_list(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[Name, ...], BeforeValidator(_one_is_a_list)]
"""A glob, or a list of globs of which one must fit."""


class ConditionSetting(_Section):
    """Where a rule holds; each is a glob or a list of globs, compared with regard to case. What is not known fits none.

    Attributes:
        tool: ``gen_ai.tool.name`` of the span, log record or data point.
        agent: ``gen_ai.agent.name`` of it.
        tenant: ``runrecord.tenant.id`` of it or of its resource.
        environment: ``deployment.environment.name`` of its resource.
    """

    tool: Names | None = Field(default=None, min_length=1)
    agent: Names | None = Field(default=None, min_length=1)
    tenant: Names | None = Field(default=None, min_length=1)
    environment: Names | None = Field(default=None, min_length=1)

    @property
    def conditions(self) -> dict[Fact, tuple[str, ...]]:
        """Those that are set."""
        named: dict[Fact, tuple[str, ...] | None] = {
            "tool": self.tool,
            "agent": self.agent,
            "tenant": self.tenant,
            "environment": self.environment,
        }
        return {fact: globs for fact, globs in named.items() if globs}


class KeySetting(ConditionSetting):
    """A rule by attribute key.

    Attributes:
        match: Glob over the key, without regard to case: ``*.password``.
        action: What happens to the value; ``keep`` exempts it from the later key rules, not from the patterns.
        inside_json: Also over the dotted path of keys in nested maps and in JSON text.
    """

    match: str = Field(min_length=1)
    action: KeyAction
    inside_json: bool = False


class ContentSetting(ConditionSetting):
    """What happens to an attribute, where the conditions hold.

    Attributes:
        action: As for a rule by key.
    """

    action: KeyAction


class AllowSetting(_Section):
    """What is exempt.

    Attributes:
        values: Texts that stay when a match is exactly that text; the rest of the value is still looked at.
    """

    values: tuple[str, ...] = ()


class LimitSetting(_Section):
    """Sizes and budgets.

    Attributes:
        attribute_bytes: The size in bytes that one text may have after redaction; None for any.
        on_oversize: ``truncate`` keeps the beginning, and keeps JSON valid; ``drop`` removes the attribute; ``offload``
            puts the whole redacted text into the store of ``offload`` and leaves a beginning and a reference.
        leaf_confirms: Candidates in one text; a text with more is replaced as a whole.
        request_confirms: Candidates in one request; a request with more is an error (see ``on_error``).
    """

    attribute_bytes: Whole | None = Field(default=None, ge=256)
    on_oversize: Literal["truncate", "drop", "offload"] = "truncate"
    leaf_confirms: Whole = Field(default=50_000, ge=1)
    request_confirms: Whole = Field(default=500_000, ge=1)


class OffloadSetting(_Section):
    """Where large texts go with ``limits.on_oversize: offload``.

    Attributes:
        store: A directory, or the address of an object store: ``s3://bucket/prefix``.
        preview_bytes: The size in bytes of the beginning that stays in the attribute; JSON stays JSON.
        options: Settings of the object store, such as ``endpoint`` and ``region``; credentials belong in its
            environment variables, not here.
    """

    store: str = Field(min_length=1)
    preview_bytes: Whole = Field(default=1024, ge=256)
    options: dict[str, str] = Field(default_factory=dict[str, str])


class QuarantineSetting(_Section):
    """Where requests are set aside with ``on_error: quarantine``.

    Attributes:
        directory: Made with mode 0700. The gateway has a default below its state directory; an application has none.
        max_size_mib: At this size, requests are refused instead.
    """

    directory: Path | None = None
    max_size_mib: Whole = Field(default=256, ge=1)


class PseudonymSetting(_Section):
    """The keys of ``pseudonym`` and ``hash``.

    Attributes:
        previous_keys: Files of tenant keys that were in use before; pseudonyms made with them can still be found.
    """

    previous_keys: tuple[Path, ...] = ()


class RedactionPolicy(_Section):
    """What is found and what becomes of it.

    Attributes:
        packs: Sets of rules, in this order: ``secrets``, ``pii``, and what installed distributions offer as entry
            points of the group ``runrecord.detectors``.
        rule_files: YAML files with more rules; relative to the working directory.
        rules: What is different about single rules, by id: an action, or ``{action: ..., enabled: ...}``.
        keys: Rules by attribute key; the first that matches counts.
        content: The same for exact keys, in short: ``{gen_ai.input.messages: drop}``; or a list of actions with
            conditions, of which the first that holds counts.
        allow: What is exempt.
        limits: Sizes and budgets.
        offload: Where large texts go.
        pseudonyms: The keys of ``pseudonym`` and ``hash``.
        on_error: What becomes of a request that cannot be redacted: the error says ``reject`` or ``quarantine`` and
            the caller acts on it; ``mask_all`` replaces every text in it but ids and words of closed lists.
        quarantine: Where requests are set aside.
        annotate: Whether edited spans and log records get ``runrecord.redaction.*``.
        engine: The pattern engine; ``auto`` takes the fastest that is there.
    """

    packs: tuple[str, ...] = ("secrets", "pii")
    rule_files: tuple[Path, ...] = ()
    rules: dict[str, RuleSetting] = Field(default_factory=dict[str, RuleSetting])
    keys: tuple[KeySetting, ...] = ()
    content: dict[str, tuple[ContentSetting, ...]] = Field(
        default_factory=dict[str, tuple[ContentSetting, ...]]
    )
    allow: AllowSetting = AllowSetting()
    limits: LimitSetting = LimitSetting()
    offload: OffloadSetting | None = None
    pseudonyms: PseudonymSetting = PseudonymSetting()
    on_error: Literal["reject", "quarantine", "mask_all"] = "reject"
    quarantine: QuarantineSetting = QuarantineSetting()
    annotate: bool = True
    engine: Literal["auto", "hyperscan", "re2", "stdlib"] = "auto"

    @field_validator("packs")
    @classmethod
    def _packs_exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in PACKS and name not in pack_names():
                raise ValueError(f"no pack {name!r}; there are {', '.join(pack_names())}")
        return tuple(dict.fromkeys(names))

    @field_validator("rules", mode="before")
    @classmethod
    def _an_action_alone_is_a_setting(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        rules = cast("Mapping[object, object]", value)
        return {name: {"action": rule} if isinstance(rule, str) else rule for name, rule in rules.items()}

    @field_validator("content", mode="before")
    @classmethod
    def _an_action_alone_is_a_list(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        keys = cast("Mapping[object, object]", value)
        named = {key: {"action": item} if isinstance(item, str) else item for key, item in keys.items()}
        return {
            key: (cast("object", item),) if isinstance(item, Mapping) else item for key, item in named.items()
        }

    @model_validator(mode="after")
    def _offload_has_a_store(self) -> RedactionPolicy:
        limits, offload = self.limits, self.offload
        if limits.on_oversize == "offload":
            if offload is None:
                raise ValueError(
                    "limits.on_oversize is offload; name a store: offload: {store: DIRECTORY or s3://...}"
                )
            if limits.attribute_bytes is None or limits.attribute_bytes < max(1024, offload.preview_bytes):
                raise ValueError(
                    "limits.on_oversize is offload; set limits.attribute_bytes, to 1024 or more and not below "
                    "offload.preview_bytes"
                )
        return self

    @property
    def needs_key(self) -> bool:
        """Whether an action of the policy is keyed."""
        actions: set[Any] = {setting.action for setting in self.rules.values()}
        actions |= {setting.action for settings in self.content.values() for setting in settings}
        return bool(KEYED & (actions | {key.action for key in self.keys}))

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> RedactionPolicy:
        """Validate a policy and report the first mistake in one sentence.

        Raises:
            PolicyError: The policy is wrong; the message names the key and the nearest valid one.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise PolicyError(describe(error)) from None


def describe(error: ValidationError) -> str:
    """The mistakes of a policy, each with the path of its key, none with a value."""
    lines: list[str] = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        path = ".".join(["redaction", *map(str, problem["loc"])])
        lines.append(f"{path}: {problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)
