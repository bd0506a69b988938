# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A policy per test, and the global propagator wrapped and restored."""

from collections.abc import Callable, Generator

import pytest
from opentelemetry.propagate import get_global_textmap, set_global_textmap

from runrecord.instrumentation import propagation

Allow = Callable[..., None]


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
