# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Patching a module when the program imports it, so that a program that never does pays nothing."""

from collections.abc import Callable
from types import ModuleType

from wrapt import register_post_import_hook

from runrecord.instrumentation._safety import note_once


class OnImport:
    """The hooks of one integration, until :meth:`disarm`.

    Every module is given to its hook once, when it has been executed in full; at once, if that was before. A hook that
    depends on another module must not import it, since that one may be what is being imported right now; it gets a hook
    of its own.
    """

    def __init__(self) -> None:
        self._armed = True

    def when(self, name: str, patch: Callable[[ModuleType], None]) -> None:
        """Call ``patch`` with the module ``name``, now or when it is imported; what it raises is logged once."""

        def imported(module: ModuleType) -> None:
            if not self._armed:
                return
            try:
                patch(module)
            except Exception as error:  # noqa: BLE001  # an import of the application must not fail because of us
                note_once(
                    f"import {name}",
                    "runrecord could not hook into %s (%s); the application is not affected, less is recorded",
                    name,
                    type(error).__qualname__,
                )

        register_post_import_hook(imported, name)

    def disarm(self) -> None:
        """Let the hooks that have not run yet do nothing."""
        self._armed = False
