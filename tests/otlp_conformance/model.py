# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a case of the suite is: a rule of the specification, how strong it is, and a function that breaks off when it does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

Level = Literal["MUST", "SHOULD"]
Outcome = Literal["pass", "fail", "n/a"]


class Failed(Exception):  # noqa: N818 - a result
    """The receiver does not keep the rule."""


class NotApplicable(Exception):  # noqa: N818 - a result
    """The rule is about something that the receiver does not do, or that this run gave no means to see."""


def fail(why: str) -> NoReturn:
    """End a case: the rule is broken."""
    raise Failed(why)


def check(condition: object, why: str) -> None:
    """End a case unless the rule holds."""
    if not condition:
        raise Failed(why)


@dataclass(frozen=True)
class Case:
    """One rule, for one signal and one encoding where it is about these.

    Attributes:
        name: For example ``http.bad-data.status[traces-json]``.
        rule: What must be so, in a sentence.
        section: The heading of the OTLP specification, version 1.11, that says it.
        level: MUST, or SHOULD (RECOMMENDED).
        transport: Which address it needs.
        run: Raises `Failed` or `NotApplicable`.
    """

    name: str
    rule: str
    section: str
    level: Level
    transport: Literal["grpc", "http"]
    run: Callable[[Any], None]


CASES: list[Case] = []


def case(
    name: str, section: str, level: Level, over: Iterable[Mapping[str, str]] = ({},)
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a case, or as one for each of several arguments.

    Args:
        name: Begins with the transport.
        section: Of the specification.
        level: How strong the rule is.
        over: Keyword arguments of the function, one mapping a case.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        for arguments in over:
            suffix = f"[{'-'.join(arguments.values())}]" if arguments else ""

            def run(target: Any, arguments: Mapping[str, str] = arguments) -> None:
                function(target, **arguments)

            transport: Any = name.partition(".")[0]
            rule = " ".join((function.__doc__ or "").split())
            CASES.append(Case(name + suffix, rule, section, level, transport, run))
        return function

    return register


@dataclass(frozen=True)
class Result:
    """How a case went.

    Attributes:
        name: Of the case.
        rule: Of the case.
        section: Of the case.
        level: Of the case.
        outcome: Whether the rule holds.
        detail: Why not; the same in every run.
    """

    name: str
    rule: str
    section: str
    level: Level
    outcome: Outcome
    detail: str = ""


def run_case(case: Case, target: Any) -> Result:
    """Run a case; a connection that breaks is a failure of the receiver."""
    outcome: Outcome = "pass"
    detail = ""
    try:
        case.run(target)
    except Failed as failed:
        outcome, detail = "fail", str(failed)
    except NotApplicable as reason:
        outcome, detail = "n/a", str(reason)
    except (OSError, EOFError) as error:
        outcome, detail = "fail", f"the connection broke ({type(error).__name__})"
    return Result(case.name, case.rule, case.section, case.level, outcome, detail)
