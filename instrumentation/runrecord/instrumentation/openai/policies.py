# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the provider's own policies said: moderation, content filters and refusals; pure functions, as in ``extract``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from runrecord.instrumentation._declared import get, text
from runrecord.instrumentation.openai.extract import FILTERED, items, refusals_in


@dataclass(frozen=True)
class Verdict:
    """What the provider's own policies said of an input or an output.

    Attributes:
        policy: moderation, content_filter or refusal.
        subject_type: model_input or model_output.
        subject: Id of what was judged.
        flagged: Whether it was objected to; None if the policy failed.
        reason: A code; of several categories the one with the highest score.
        version: The moderation model.
        enforced: Whether the objection had a consequence.
        content: What was judged, for a commitment; None where the response does not have it.
    """

    policy: str
    subject_type: str
    subject: str | None
    flagged: bool | None
    reason: str | None = None
    version: str | None = None
    enforced: bool = True
    content: object | None = None


def verdicts(body: object, response: object) -> list[Verdict]:
    """Return what was said in a response, or in a chat completion."""
    response_id = text(get(response, "id"))
    found = [
        verdict for side in ("input", "output") if (verdict := _moderation(body, response, side)) is not None
    ]
    if get(get(response, "incomplete_details"), "reason") == "content_filter":
        found.append(
            Verdict("content_filter", "model_output", response_id, flagged=True, reason="content_filter")
        )
    found += error_verdicts(get(response, "error"), response_id)
    if any(get(answer, "type") == "refusal" for answer in items(get(response, "answers"))):
        found.append(Verdict("refusal", "model_output", response_id, flagged=True, reason="refusal"))
    for choice in items(get(response, "choices")):
        found += choice_verdicts(
            response_id, get(choice, "finish_reason"), get(get(choice, "message"), "refusal")
        )
    return found


def _moderation(body: object, response: object, side: str) -> Verdict | None:
    result = get(get(response, "moderation"), side)
    kind = get(result, "type")
    if result is None or kind not in {"moderation_result", "error"}:
        return None
    policy = get(get(get(body, "moderation"), "policy"), side)
    hits, scores = _mapping(get(result, "categories")), _mapping(get(result, "category_scores"))
    flagged = sorted(
        (name for name, hit in hits.items() if hit is True), key=lambda name: -_number(scores.get(name))
    )
    return Verdict(
        "moderation",
        f"model_{side}",
        text(get(response, "id")),
        flagged=None if kind == "error" else get(result, "flagged") is True,
        reason=flagged[0] if flagged else text(get(result, "code")),
        version=text(get(result, "model")),
        enforced=get(policy, "mode") == "block",
    )


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value if isinstance(value, Mapping) else {})


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def choice_verdicts(response_id: str | None, finish_reason: object, refusal: object) -> list[Verdict]:
    """Return what was said of one choice of a chat completion."""
    if finish_reason == "content_filter":
        return [Verdict("content_filter", "model_output", response_id, flagged=True, reason="content_filter")]
    return refusals(response_id, [refusal])


def refusals(subject: str | None, said: Iterable[object]) -> list[Verdict]:
    """Return the refusals in ``said``."""
    return [
        Verdict("refusal", "model_output", subject, flagged=True, reason="refusal", content=refusal)
        for refusal in said
        if text(refusal) is not None
    ]


def item_refusals(item: object) -> list[Verdict]:
    """Return the refusals in a message of a response."""
    return refusals(text(get(item, "id")), refusals_in(item))


def error_verdicts(error: object, subject: str | None = None) -> list[Verdict]:
    """Return a filter's objection that ended a call with an error."""
    code = text(get(error, "code"))
    if code not in FILTERED:
        return []
    return [Verdict("content_filter", "model_input", subject, flagged=True, reason=code)]
