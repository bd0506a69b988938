# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The sessions that this process has to do with, and who reads their events."""

import threading
from collections import OrderedDict
from typing import Final

from runrecord.instrumentation._declared import Settings
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.anthropic import extract
from runrecord.instrumentation.anthropic.sessions import Session
from runrecord.instrumentation.recorder import Recorder

_MAX_SESSIONS: Final = 1_000


class Sessions:
    """The sessions that this process has to do with; of very many, those that it had to do with last."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._known: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def __getitem__(self, session_id: str) -> Session:
        """Return a session."""
        with self._lock:
            found = self._known.pop(session_id, None) or Session(self._recorder, session_id)
            self._known[session_id] = found
            while len(self._known) > _MAX_SESSIONS:
                self._known.popitem(last=False)
            return found

    @guarded
    def described(self, session: object) -> None:
        """Take what the server says of a session itself."""
        found = extract.settings_of(session)
        if found is not None:
            self[found[0]].settings = Settings.of(found[1])


class Reader:
    """Somebody who reads the stream of a session's events."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._here = True
        session.reads()

    def event(self, event: object) -> None:
        """Take an event."""
        self._session.event(event)

    def completed(self) -> None:
        """Take the end: the server closed the stream."""
        self._leave()

    def failed(self, error: BaseException) -> None:
        """Take an exception: the stream broke, and the session goes on without it."""
        del error
        self._leave()

    def abandoned(self) -> None:
        """Take that nobody reads further."""
        self._leave()

    def _leave(self) -> None:
        here, self._here = self._here, False
        if here:
            self._session.left()
