# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The instrumentor: what `opentelemetry-instrument` switches on, and how code does it."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from runrecord.instrumentation._safety import swallowed
from runrecord.instrumentation.propagation import processes
from runrecord.instrumentation.propagation.environment import enter_parent_context
from runrecord.instrumentation.propagation.grpc_channels import GrpcChannels
from runrecord.instrumentation.propagation.hosts import HostList
from runrecord.instrumentation.propagation.policy import policy, set_policy
from runrecord.instrumentation.propagation.propagator import install, uninstall
from runrecord.instrumentation.propagation.redirects import Redirects

_logger = logging.getLogger("runrecord.instrumentation")


class PropagationInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # its package types it as Any
    """Puts a `RunPropagator` around the global propagator, and the run into child processes.

    ``instrument()`` takes ``hosts`` (patterns, see `HostList`), ``accept`` and ``processes`` in place of the environment variables; call
    it after ``set_global_textmap``, if the program does.
    """

    _token: object | None = None
    _processes: bool = False
    _channels: GrpcChannels | None = None
    _redirects: Redirects | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: what is hooked into is Python's own, or hooked into when it is imported."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        set_policy(None)
        hosts: Iterable[str] | None = kwargs.get("hosts")
        chosen: dict[str, Any] = {name: kwargs[name] for name in ("accept", "processes") if name in kwargs}
        if hosts is not None:
            chosen["hosts"] = HostList(hosts)
            chosen["problems"] = chosen["hosts"].problems
        if chosen:
            set_policy(replace(policy(), **chosen))
        for problem in chosen.get("problems", ()):
            _logger.warning("runrecord: the argument hosts: %s", problem)
        install()
        self._channels, self._redirects = GrpcChannels(), Redirects()
        self._channels.patch()
        self._redirects.patch()
        self._processes = policy().processes
        if self._processes:
            processes.patch()
            self._token = enter_parent_context()

    def _uninstrument(self, **kwargs: Any) -> None:
        del kwargs
        if self._channels is not None and self._redirects is not None:
            self._channels.unpatch()
            self._redirects.unpatch()
        if self._processes:
            processes.unpatch()
        if self._token is not None:
            with swallowed("leaving the context of the parent process"):
                otel_context.detach(self._token)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            self._token = None
        uninstall()
        set_policy(None)
