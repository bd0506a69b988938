# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Redaction of serialised OTLP export requests: the same engine in an application and in the gateway."""

from __future__ import annotations

from runrecord.processors.errors import EngineUnavailableError, PolicyError, RedactionError
from runrecord.processors.redaction.packs import PACKS
from runrecord.processors.redaction.policy import RedactionPolicy
from runrecord.processors.redaction.quarantine import RedactionQuarantine, SetAside
from runrecord.processors.redaction.redactor import PolicyProblem, Redaction, Redactor, check_policy
from runrecord.processors.redaction.rule import Rule
from runrecord.processors.redaction.rule_files import load_rules

__all__ = [
    "PACKS",
    "EngineUnavailableError",
    "PolicyError",
    "PolicyProblem",
    "Redaction",
    "RedactionError",
    "RedactionPolicy",
    "RedactionQuarantine",
    "Redactor",
    "Rule",
    "SetAside",
    "check_policy",
    "load_rules",
]
