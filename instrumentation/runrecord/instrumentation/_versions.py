# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The versions in force, by which a reader can tell what changed between two runs."""

from collections.abc import Mapping
from typing import Final, TypedDict, cast

from runrecord.semconv import attributes as a

VERSIONS: Final = {
    "prompt": a.VERSION_PROMPT,
    "tool_schema": a.VERSION_TOOL_SCHEMA,
    "retrieval_index": a.VERSION_RETRIEVAL_INDEX,
    "policy": a.VERSION_POLICY,
    "agent": a.VERSION_AGENT,
    "code": a.VERSION_CODE,
}


class Versions(TypedDict, total=False):
    """What is in force for a run, the answer to "what changed?"; prefer digests."""

    prompt: str
    """Of the prompt."""
    tool_schema: str
    """Of the set of tool definitions."""
    retrieval_index: str
    """Of the index that the run retrieves from."""
    policy: str
    """Of the bundle of policies."""
    agent: str
    """Of the agent's definition."""
    code: str
    """Of the program, preferably a commit; not needed where ``service.version`` says the same."""


def version_facts(versions: Versions | None) -> dict[str, str | None]:
    """Return the attributes of ``versions``; a part that is not known is left out."""
    given = cast("Mapping[str, str]", versions or {})
    return {attribute: given.get(part) for part, attribute in VERSIONS.items()}
