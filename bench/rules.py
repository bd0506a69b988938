# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The rule sets that gateways are measured with: a hand-picked few, and everything that is on by default."""

from __future__ import annotations

from runrecord.processors.redaction import RedactionPolicy, Redactor
from runrecord.processors.redaction.rule import Rule

FEW = (
    "aws-access-key", "gcp-api-key", "openai-api-key", "anthropic-api-key", "github-token", "gitlab-token", "slack-token",
    "stripe-key", "sendgrid-key", "npm-token", "pypi-token", "huggingface-token", "jwt", "private-key", "bearer-token",
    "url-credentials", "secret-assignment", "twilio-key", "email", "card", "us-ssn", "phone", "ipv4", "iban",
    "discord-webhook", "square-token",
)  # fmt: skip
"""What a team would think of first; names that a release does not have are left out."""


def default_rules() -> tuple[Rule, ...]:
    """All rules of the default policy."""
    return Redactor(RedactionPolicy(), key=bytes(32)).rules


def few_rules() -> tuple[Rule, ...]:
    """The few, filled up to 26 from the default ones."""
    known = default_rules()
    few = [rule for rule in known if rule.id in FEW]
    return (*few, *(rule for rule in known if rule.id not in FEW))[: len(FEW)]


def policy_section(few: bool) -> dict[str, object]:
    """The section ``redaction`` of a configuration with the few rules, or with all."""
    if not few:
        return {}
    wanted = {rule.id for rule in few_rules()}
    off = {rule.id: {"enabled": False} for rule in default_rules() if rule.id not in wanted}
    return {"rules": off}


def policy(rules: int) -> RedactionPolicy:
    """A policy with so many rules: 26 or fewer gives the few, more gives all."""
    return RedactionPolicy.model_validate(policy_section(rules <= len(FEW)))
