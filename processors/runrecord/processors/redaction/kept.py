# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Texts that stay even where nothing could be looked at: ids of the shape that the recorder gives them, and members of closed enumerations.

Without them a ledger could not say to which run a record belongs, and would report it missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final

from runrecord.semconv import attributes as attr

_IDENTIFIER: Final = re.compile(rb"(?=[0-9-]*[a-f])[0-9a-f]{8,64}(?:-[0-9a-f]{4,12}){0,4}")
"""Hexadecimal ids and UUIDs. Digits alone may be a card, and a prefix makes a key (`sk-`): they go, and so does a caller's own id."""
_ROOT: Final = re.compile(rb"(?:hmac-)?sha256:[0-9a-f]{64}")


def _member_of(enumeration: Iterable[Enum]) -> Callable[[bytes], object]:
    return frozenset(str(member.value).encode() for member in enumeration).__contains__


KEPT_TEXTS: Final[dict[bytes, Callable[[bytes], object]]] = {
    **{
        name.encode(): _IDENTIFIER.fullmatch
        for name in (attr.RUN_ID, attr.SOURCE_ID, attr.DECISION_ID, attr.APPROVAL_ID)
    },
    attr.RUN_ROOT.encode(): _ROOT.fullmatch,
    attr.RUN_STATE.encode(): _member_of(attr.RunState),
    attr.RUN_OUTCOME.encode(): _member_of(attr.RunOutcome),
    attr.STEP_KIND.encode(): _member_of(attr.StepKind),
    attr.DECISION_OUTCOME.encode(): _member_of(attr.DecisionOutcome),
    attr.APPROVAL_STATUS.encode(): _member_of(attr.ApprovalStatus),
    attr.VERIFICATION_TYPE.encode(): _member_of(attr.VerificationType),
    attr.COMPENSATION_OUTCOME.encode(): _member_of(attr.CompensationOutcome),
    attr.GEN_AI_OPERATION_NAME.encode(): frozenset(
        {b"execute_tool", b"invoke_agent", b"invoke_workflow"}
    ).__contains__,
}
"""By attribute, what says whether a value of it stays."""


def is_kept(name: bytes, text: bytes) -> bool:
    """Return whether the value of an attribute of a record is nothing but an id, or a word of a closed list."""
    check = KEPT_TEXTS.get(name)
    return check is not None and bool(check(text))
