# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From FastMCP's middleware and exceptions to policy decisions: pure functions that import nothing of FastMCP."""

from typing import Any, Final

from runrecord.instrumentation._declared import Policy
from runrecord.instrumentation.mcp import extract

policy = extract.policy

_DECIDING: Final = frozenset(
    {"AuthMiddleware", "RateLimitingMiddleware", "SlidingWindowRateLimitingMiddleware"}
)
_REFUSALS: Final = frozenset({"ToolError", "AuthorizationError", "MCPError"})
_REASONS: Final = {
    "InsufficientScopeError": "insufficient_scope",
    "AuthorizationError": "unauthorized",
    "RateLimitError": "rate_limited",
}
HIDDEN: Final = (Policy("authorization"), "unauthorized")
"""A tool's own ``auth`` that does not admit the caller: FastMCP answers as if there were no such tool."""


def decides(middleware: object) -> bool:
    """Say whether a middleware is a policy: one of FastMCP's own that lets through or refuses, or one that says so."""
    names = {kind.__name__ for kind in type(middleware).__mro__}
    return extract.declared(middleware) or bool(names & _DECIDING)


def denial(
    error: BaseException, middleware: list[Any], *, reached: bool, ran: bool
) -> tuple[Policy, str | None] | None:
    """Return the policy that refused a call, and why, if an exception is a refusal.

    One that a middleware raises instead of going on is. Behind the middleware only an authorization error is: the tool's own
    ``auth``. What a tool itself raises is a tool's error.
    """
    if ran:
        return None
    for cause in reversed(list(extract.causes(error))):
        names = [kind.__name__ for kind in type(cause).__mro__]
        reason = next((_REASONS[name] for name in names if name in _REASONS), None)
        if not reached and _REFUSALS.intersection(names):
            place = extract.raised_by(cause, middleware)
            return (policy(place) if place is not None else Policy("middleware")), reason
        if "AuthorizationError" in names:
            return Policy("authorization"), reason
    return None
