# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the operator allows to cross a boundary, from ``RUNRECORD_PROPAGATION_*`` or the instrumentor's arguments."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import environ
from typing import Final

from runrecord.instrumentation.propagation.hosts import HostList

_logger = logging.getLogger("runrecord.instrumentation")

HOSTS: Final = "RUNRECORD_PROPAGATION_HOSTS"
"""Hosts that are told the run id and the step index, separated by commas; none by default."""
ACCEPT: Final = "RUNRECORD_PROPAGATION_ACCEPT"
"""Whether a run id in a request from the network is believed; not by default."""
PROCESSES: Final = "RUNRECORD_PROPAGATION_PROCESSES"
"""Whether child processes get the context in their environment; they do by default."""

_YES: Final = frozenset({"true", "1", "yes", "on"})
_NO: Final = frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True)
class Policy:
    """What crosses a boundary.

    Attributes:
        hosts: Who is told the run id and the step index.
        accept: Whether those that a request from the network brings are believed.
        processes: Whether child processes get the context.
        problems: What of the settings is not in force, for a person.
    """

    hosts: HostList = field(default_factory=HostList)
    accept: bool = False
    processes: bool = True
    problems: tuple[str, ...] = ()


def read_policy(variables: Mapping[str, str] = environ) -> Policy:
    """Return what environment variables say; a value that can't be read allows nothing."""
    problems: list[str] = []
    hosts = HostList.of(variables.get(HOSTS, ""))
    problems += [f"{HOSTS}: {problem}" for problem in hosts.problems]

    def switch(name: str, *, default: bool) -> bool:
        value = variables.get(name, "").strip().lower()
        if value and value not in _YES | _NO:
            problems.append(f"{name} is neither true nor false, and is taken as false")
        return value in _YES if value else default

    accept, processes = switch(ACCEPT, default=False), switch(PROCESSES, default=True)
    return Policy(hosts, accept, processes, tuple(problems))


_policy: Policy | None = None


def policy() -> Policy:
    """Return the policy of this process; read from the environment at the first call."""
    global _policy  # noqa: PLW0603 - one process, one policy
    if _policy is None:
        _policy = read_policy()
        for problem in _policy.problems:
            _logger.warning("runrecord: %s", problem)
    return _policy


def set_policy(value: Policy | None) -> None:
    """Replace the policy of this process; None lets the next call read the environment again."""
    global _policy  # noqa: PLW0603
    _policy = value
