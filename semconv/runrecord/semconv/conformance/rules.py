# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The rules of the check: a stable id, a severity, what is wrong and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

__all__ = ["RULES", "Rule", "Severity"]


class Severity(str, Enum):
    """How bad a finding is, in the three words of the upstream live check."""

    VIOLATION = "violation"
    """The conventions say must or must not."""
    IMPROVEMENT = "improvement"
    """The conventions say should, or a reader loses something."""
    INFORMATION = "information"
    """Worth knowing; nothing need be wrong."""

    @property
    def rank(self) -> int:
        """2 for a violation, 0 for information."""
        return {"violation": 2, "improvement": 1, "information": 0}[self.value]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        id: stable; a configuration may name it.
        part: what it judges: ``record`` (one record of ours), ``official`` (the GenAI conventions), ``across`` (several
            records together) or ``metric``.
        severity: the usual one; a finding may be milder where the rule says so.
        brief: what is wrong, as a sentence.
        next_step: what to do, as an imperative sentence.
    """

    id: str
    part: str
    severity: Severity
    brief: str
    next_step: str


_V, _I, _N = Severity.VIOLATION, Severity.IMPROVEMENT, Severity.INFORMATION

_TABLE = (
    # One record.
    Rule("missing-required", "record", _V, "An attribute that the signal requires is missing.",
         "Set it where the record is made; the page of the signal says what it holds."),
    Rule("missing-conditional", "record", _V,
         "An attribute is missing although the record itself shows that its condition holds.",
         "Set it whenever the condition holds."),
    Rule("wrong-type", "record", _V, "A value has another type than the registry says.",
         "Set a value of the type that the registry says; nothing is converted on the way."),
    Rule("unknown-member", "record", _V, "A value is not a member of its enumeration.",
         "Use one of the members, or propose a new one; finer shades belong in an attribute of your own."),
    Rule("unknown-attribute", "record", _V, "An attribute in the namespace of the registry is not in the registry.",
         "Correct its name, or define it under a namespace of your own."),
    Rule("misplaced-attribute", "record", _V, "An attribute is on a record that it does not belong on.",
         "Set it on the signals whose pages list it, and nowhere else."),
    Rule("unknown-event", "record", _V, "An event in the namespace of the registry is not in the registry.",
         "Correct its name, or define it under a namespace of your own."),
    Rule("deprecated-attribute", "record", _V, "An attribute is deprecated.",
         "Set the attribute that took its place."),
    Rule("bad-format", "record", _V, "A text does not have the form that the registry gives it.",
         "Write it in the form that the message names."),
    Rule("digest-format", "record", _V,
         "A digest is not a keyed commitment; what a plain hash hides can often be guessed.",
         "Make it with runrecord.semconv.commitment: hmac-sha256: and 64 hexadecimal digits."),
    Rule("out-of-range", "record", _V, "A number is outside of its range.",
         "Set a number that the message allows, or leave the attribute out."),
    Rule("empty-value", "record", _V, "A text that identifies something is empty.",
         "Leave the attribute out where there is nothing to say; where it is required, say it."),
    Rule("not-a-code", "record", _V, "A code holds a sentence: it can carry content, and nobody can count it.",
         "Set a short machine-readable word such as amount_over_limit."),
    Rule("not-opaque", "record", _V, "A reference looks like an e-mail address, a name or a plain hash.",
         "Set an opaque id, and keep the table that resolves it in the application."),
    Rule("content-captured", "record", _V,
         "Content is where the record must be free of it; information where it is allowed and somebody switched it on.",
         "Remove it; if it was not meant to be captured, switch off OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT."),
    Rule("governance-span-with-operation-name", "record", _V,
         "A span of ours carries gen_ai.operation.name, so that readers take it for an official one.",
         "Remove gen_ai.operation.name from the span."),
    Rule("tool-attributes-on-own-span", "record", _V,
         "A span or event of ours carries gen_ai.tool.*, so that user interfaces show it as a tool call.",
         "Remove it; runrecord.subject.id and runrecord.subject.name say which call is meant."),
    Rule("official-attribute-on-own-span", "record", _V,
         "A span or event of ours carries a gen_ai.* attribute that is not of this signal.",
         "Remove it, or set it on the official span."),
    Rule("wrong-kind", "record", _V, "A span has another kind than its signal.", "Start the span with the kind that the message names."),
    Rule("wrong-name", "record", _V, "A span of ours has another name than the pattern of its signal gives.",
         "Name the span by the pattern; readers know spans by their first word."),
    Rule("id-in-span-name", "record", _V, "The name of a span holds an id, so that there are as many names as spans.",
         "Put the id into an attribute, and a bounded name into the span name."),
    Rule("error-on-denial", "record", _V,
         "The status is ERROR although nothing failed: a denial, an expiry or a pause is not an error.",
         "Leave the status UNSET."),
    Rule("end-before-start", "record", _V, "A span ends before it starts.", "Take both times from one clock."),
    Rule("not-ended", "record", _V, "A span has no start or no end time.", "End the span before it is exported."),
    Rule("invalid-ids", "record", _V, "A trace or span id is missing or malformed.",
         "Set 16 bytes for the trace and 8 for the span, not all zero."),
    Rule("missing-schema-url", "record", _I, "A record of ours comes from a scope without schema URL.",
         "Pass schema_url=runrecord.semconv.SCHEMA_URL when the tracer or logger is made."),
    Rule("duplicate-attribute", "record", _V, "An attribute is in the record more than once.",
         "Set each attribute once; readers keep either the first or the last."),
    Rule("conflicting-values", "record", _V, "Two attributes of a record contradict each other.",
         "Find out which one is right, and correct the other where it is set."),
    Rule("missing-link", "record", _V, "A span repeats the ids of another one and has no link to it, or links elsewhere.",
         "Add a link to the span context whose ids the attributes repeat."),
    Rule("step-index-without-run", "record", _V, "A record has a step index and does not say of which run.",
         "Set runrecord.run.id as well; both travel in baggage together."),
    Rule(
        "redaction-failed",
        "record",
        _I,
        "The redactor could not look at the record and put a marker in place of its texts, so nothing else of it is judged.",
        "Give the redactor more time or memory, or send smaller requests; see docs/redaction.md.",
    ),
    # The official part.
    Rule("official-unknown-operation", "official", _V,
         "gen_ai.operation.name is not in the closed list of the GenAI conventions.",
         "Use an operation of the list; a span that is none of them carries no gen_ai.operation.name."),
    Rule("official-missing-required", "official", _V, "An attribute that the GenAI conventions require is missing.",
         "Set it, or ask the maintainers of the instrumentation to."),
    Rule("official-missing-conditional", "official", _V,
         "An official attribute is missing although the record itself shows that its condition holds.",
         "Set it whenever the condition holds."),
    Rule("official-wrong-type", "official", _V, "A value has another type than the GenAI conventions say.",
         "Set a value of that type."),
    Rule("official-unknown-member", "official", _N,
         "A value is not among the well-known ones of an official attribute.",
         "Use a well-known value where one fits; others are allowed."),
    Rule("official-unknown-attribute", "official", _N,
         "A gen_ai.* attribute is not in the part of the GenAI conventions that this version knows.",
         "Correct its name, or use a namespace of your own: gen_ai.* belongs to OpenTelemetry."),
    Rule("official-deprecated-attribute", "official", _I, "An official attribute was renamed or removed upstream.",
         "Set the attribute that took its place, beside the old one where readers need that."),
    Rule("official-wrong-kind", "official", _V, "An official span has a kind that its conventions do not allow.",
         "Start the span with one of the kinds that the message names."),
    Rule("official-wrong-name", "official", _I, "An official span has another name than its conventions say.",
         "Name it by the pattern."),
    # Several records.
    Rule("decision-without-run", "across", _V, "A policy or approval decision belongs to a run that has no run span.",
         "Record the run that the decision is made in; if the input is only a part, say --partial."),
    Rule("record-without-run", "across", _V, "A governed record belongs to a run that has no run span.",
         "Record the run, and end its span; if the input is only a part, say --partial."),
    Rule("decision-without-request", "across", _V,
         "An approval was decided that nobody requested; information if its ids name a request that is not in the input.",
         "Record the request when somebody is asked, under the same runrecord.approval.id."),
    Rule("request-mismatch", "across", _V, "The request that an approval decision names is another span than a request for this approval.",
         "Take trace and span id from the request with the same runrecord.approval.id."),
    Rule("subject-digest-differs", "across", _V,
         "What was decided on or carried out is not what was shown: the digests differ.",
         "Commit to the same arguments under the same label; if they were changed, the status is modified."),
    Rule("duplicate-number", "across", _V, "Two records of a source have the same runrecord.record.seq in one run.",
         "Take each number once, when the record starts; a forked process is a new source."),
    Rule("missing-records", "across", _V, "Numbers are missing, or there are fewer records than runrecord.run.records says.",
         "Find out where they were lost or sampled away; if the input is only a part, say --partial."),
    Rule("uncounted-records", "across", _V, "There are more records than runrecord.run.records says.",
         "End the run span after everything that it counts."),
    Rule("duplicate-id", "across", _V, "Two records have an id that must be unique.",
         "Make a new id for each decision, request and segment."),
    Rule("event-differs", "across", _V, "An event repeats a span and says something else.",
         "Set both from the same values; the span is authoritative."),
    # Metrics.
    Rule("unknown-metric", "metric", _V, "A metric in the namespace of the registry is not in the registry.",
         "Correct its name, or define it under a namespace of your own."),
    Rule("wrong-unit", "metric", _V, "A metric has another unit than the registry says.", "Make the instrument with that unit."),
    Rule("wrong-instrument", "metric", _V, "A metric is made by another instrument than the registry says.",
         "Make it with the instrument that the message names."),
    Rule("id-as-label", "metric", _V, "A metric carries an id, so that it has as many series as there are ids.",
         "Leave the id out; traces answer questions about one run."),
)  # fmt: skip

RULES: Mapping[str, Rule] = MappingProxyType({rule.id: rule for rule in _TABLE})
"""All rules by id, in the order of the documentation."""
