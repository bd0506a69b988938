# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A policy per test, and the global propagator wrapped and restored."""

from collections.abc import Callable, Generator
from importlib.util import find_spec

import pytest
from opentelemetry.propagate import get_global_textmap, set_global_textmap

from runrecord.instrumentation import propagation

Allow = Callable[..., None]

# The dependency group `propagation`, which the environment of the lower bounds does not have.
_NEEDS = {
    "test_grpc.py": ["grpc"],
    "test_http.py": ["httpx", "requests"],
    "test_kafka.py": ["confluent_kafka"],
    "test_threads.py": ["threading"],
}
collect_ignore = [
    name
    for name, packages in _NEEDS.items()
    if any(find_spec(f"opentelemetry.instrumentation.{package}") is None for package in packages)
]


@pytest.fixture
def allow() -> Allow:
    """Replace the policy: hosts that may be told, and whether requests are believed."""

    def replace(*hosts: str, accept: bool = False, processes: bool = True) -> None:
        listed = propagation.HostList(hosts)
        assert not listed.problems
        propagation.set_policy(propagation.Policy(listed, accept, processes))

    return replace


@pytest.fixture(autouse=True)
def _installed(allow: Allow) -> Generator[None, None, None]:
    before = get_global_textmap()
    allow()
    propagation.install()
    yield
    set_global_textmap(before)
    propagation.set_policy(None)
