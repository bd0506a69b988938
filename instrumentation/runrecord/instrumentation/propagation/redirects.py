# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Redirects that are followed below the instrumentation: the headers go to a host that nobody was asked about."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from wrapt import FunctionWrapper

from runrecord.instrumentation._on_import import OnImport
from runrecord.instrumentation._safety import swallowed
from runrecord.instrumentation.propagation.hosts import peer_of_url
from runrecord.instrumentation.propagation.propagator import allowed, clean

_METHOD: Final = "rebuild_auth"


class Redirects:
    """The hook into ``requests``, where it decides whether a redirect keeps the credentials.

    ``httpx`` needs none: it asks its transport, and so its instrumentation, for every hop.
    """

    def __init__(self) -> None:
        self._active = True
        self._hooks = OnImport()

    def patch(self) -> None:
        """Hook into the redirects that are followed from now on."""
        self._hooks.when("requests.sessions", self._patch)

    def unpatch(self) -> None:
        """Let the hook do nothing."""
        self._active = False
        self._hooks.disarm()

    def _patch(self, sessions: ModuleType) -> None:
        def rebuild(
            wrapped: Callable[..., Any], _: object, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            result = wrapped(*args, **kwargs)
            if self._active:
                with swallowed("a redirect"):
                    request = args[0] if args else kwargs["prepared_request"]
                    if not allowed(peer_of_url(str(request.url))):
                        clean(request.headers)
            return result

        owner = sessions.SessionRedirectMixin
        setattr(owner, _METHOD, FunctionWrapper(getattr(owner, _METHOD), rebuild))
