# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The policy for our own errors: they cost telemetry, never the agent.

An internal error is logged once per place and type, without its text (which may quote content; the errors about the key
and the state directory never do, and say what to set), and swallowed.
Under pytest it is re-raised, so that a defect can't hide behind this policy in a test suite.
"""

import logging
import os
import threading
from collections.abc import Callable
from functools import wraps
from typing import TypeVar, cast

from runrecord.semconv.errors import StateDirectoryError, TenantKeyError

logger = logging.getLogger("runrecord.instrumentation")

_F = TypeVar("_F", bound=Callable[..., object])
_lock = threading.Lock()
_seen: set[tuple[str, str, int]] = set()


def report(where: str, error: BaseException) -> None:
    """Log an internal error once per (place, type, line); re-raise it when a test is running.

    Raises:
        BaseException: ``error`` itself, if the environment variable ``PYTEST_CURRENT_TEST`` is set.
    """
    if os.environ.get("PYTEST_CURRENT_TEST"):
        raise error
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    line = trace.tb_lineno if trace is not None else 0
    mark = (where, type(error).__qualname__, line)
    with _lock:
        if mark in _seen:
            return
        _seen.add(mark)
    if isinstance(error, (StateDirectoryError, TenantKeyError)):
        logger.warning(
            "runrecord could not record %s: %s; the application is not affected, this is logged once",
            where,
            error,
        )
        return
    source = trace.tb_frame.f_code.co_filename if trace is not None else "?"
    logger.warning(
        "runrecord could not record %s (%s at %s:%d); the application is not affected, this is logged once",
        where,
        mark[1],
        source,
        line,
    )


def note_once(mark: str, message: str, *args: object) -> None:
    """Log a degradation, such as a private seam of an SDK that is gone, once per process."""
    with _lock:
        if ("note", mark, 0) in _seen:
            return
        _seen.add(("note", mark, 0))
    logger.warning(message, *args)


def guarded(function: _F) -> _F:
    """Let no exception of ``function`` reach the caller; it returns None instead."""

    @wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  # the policy of this module
            report(function.__qualname__, error)
            return None

    return cast("_F", call)


class swallowed:  # noqa: N801  # used as a function; a class is a fraction of the cost of a generator
    """Like :func:`guarded`, for a block; ``where`` says what was to be recorded."""

    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        """Report an exception."""
        if not isinstance(error, Exception):
            return False
        report(self._where, error)
        return True
