# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Recording what agents do with OpenAI's Responses and Chat Completions: tool runners, hosted tools, approvals, policies."""

from collections.abc import Callable, Collection
from types import ModuleType
from typing import TYPE_CHECKING, Any

from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation.base import Instrumentor
from runrecord.instrumentation.openai.approvals import approval_key
from runrecord.instrumentation.openai.package import CAPABILITIES, INSTRUMENTS
from runrecord.instrumentation.recorder import Recorder

if TYPE_CHECKING:
    from runrecord.instrumentation.openai.patch import Patch

__all__ = ["CAPABILITIES", "OpenAIInstrumentor", "approval_key"]


class OpenAIInstrumentor(Instrumentor):
    """Records what agents do with the OpenAI client."""

    scope = "runrecord.instrumentation.openai"

    _applied: "Patch | None" = None
    _imports: OnImport | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the supported releases of the SDK."""
        return INSTRUMENTS

    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        del kwargs
        from runrecord.instrumentation.openai.patch import Patch  # noqa: PLC0415  # it is not needed to list what there is

        applied = self._applied = Patch(recorder)
        self._imports = imports = OnImport()

        def when(module: str, hook: Callable[[], None]) -> None:
            def imported(module: ModuleType) -> None:
                del module
                hook()

            imports.when(module, imported)

        when("openai", applied.client)
        # The runners are modules of their own, which the package does not import, and old releases do not have.
        when("openai.lib.responses_tool_runner", applied.responses_runner)
        when("openai.lib.decisions_tool_runner", applied.decisions_runner)
        when("openai.lib.computer", applied.computer)
        when("openai.lib.browser", applied.browser)

    def _unpatch(self, **kwargs: Any) -> None:
        del kwargs
        if self._imports is not None:
            self._imports.disarm()
        if self._applied is not None:
            self._applied.remove()
            self._applied = None
