# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The base of the instrumentors: the check of the installed SDK, and how one is switched on and off."""

from abc import abstractmethod
from typing import Any

from opentelemetry.instrumentation.dependencies import get_dependency_conflicts
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from runrecord.instrumentation.errors import DependencyConflictError
from runrecord.instrumentation.recorder import Recorder

__all__ = ["Instrumentor"]


class Instrumentor(BaseInstrumentor):  # type: ignore[misc]  # its package types it as Any
    """Base of the integrations.

    ``instrument()`` takes ``recorder``, or what to make one of: ``tracer_provider``, ``logger_provider``,
    ``meter_provider``, ``context_store``, ``tenant_key``. Without any of them it does what ``opentelemetry-instrument`` does.
    """

    scope = "runrecord.instrumentation"
    """Name of the instrumentation scope."""

    def _instrument(self, **kwargs: Any) -> None:
        """Check the installed SDK, then patch it.

        Raises:
            DependencyConflictError: The SDK is missing, or its version is not supported. The loader of
                ``opentelemetry-instrument`` tells our own method to skip the check, so it is made here.
        """
        conflict = get_dependency_conflicts(self.instrumentation_dependencies())
        if conflict is not None:
            raise DependencyConflictError(conflict)
        recorder = kwargs.pop("recorder", None)
        if recorder is None:
            recorder = Recorder(
                scope=self.scope,
                tracer_provider=kwargs.pop("tracer_provider", None),
                logger_provider=kwargs.pop("logger_provider", None),
                meter_provider=kwargs.pop("meter_provider", None),
                store=kwargs.pop("context_store", None),
                tenant_key=kwargs.pop("tenant_key", None),
            )
        self._patch(recorder, **kwargs)

    def _uninstrument(self, **kwargs: Any) -> None:
        self._unpatch(**kwargs)

    @abstractmethod
    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        """Hook into the SDK."""

    @abstractmethod
    def _unpatch(self, **kwargs: Any) -> None:
        """Undo what :meth:`_patch` did; runs that are under way end as they began."""
