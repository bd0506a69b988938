# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Child processes: ``subprocess``, ``asyncio`` subprocesses, ``multiprocessing`` and process pools start with the run they belong to.

Arguments of the caller are never changed, and a child that could not be started because of our variables is started
without them.
"""

import concurrent.futures
import concurrent.futures.process
import errno
import multiprocessing.pool
import multiprocessing.process
import subprocess
from collections.abc import Callable, Mapping
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.instrumentation.utils import unwrap
from wrapt import wrap_function_wrapper

from runrecord.instrumentation._safety import swallowed
from runrecord.instrumentation.propagation.carriers import extract_trusted
from runrecord.instrumentation.propagation.environment import VARIABLES, carrier_of_run, child_environment

_ENV: Final = 10  # the position of `env` in subprocess.Popen's arguments
_POOL_METHODS: Final = ("apply_async", "_map_async", "imap", "imap_unordered")
_WORKERS: Final = (
    getattr(concurrent.futures.process, "_process_worker", object()),
    getattr(multiprocessing.pool, "worker", object()),
)
_Args = tuple[Any, ...]
_Kwargs = dict[str, Any]


def patch() -> None:
    """Hook into the ways to start a process."""
    wrap_function_wrapper(subprocess.Popen, "__init__", _popen)
    wrap_function_wrapper(multiprocessing.process.BaseProcess, "start", _start)
    wrap_function_wrapper(concurrent.futures.process.ProcessPoolExecutor, "submit", _submit)
    for name in _POOL_METHODS:
        if hasattr(multiprocessing.pool.Pool, name):
            wrap_function_wrapper(multiprocessing.pool.Pool, name, _submit)


def unpatch() -> None:
    """Undo :func:`patch`."""
    unwrap(subprocess.Popen, "__init__")
    unwrap(multiprocessing.process.BaseProcess, "start")
    unwrap(concurrent.futures.process.ProcessPoolExecutor, "submit")
    for name in _POOL_METHODS:
        if hasattr(multiprocessing.pool.Pool, name):
            unwrap(multiprocessing.pool.Pool, name)


def _popen(wrapped: Callable[..., None], _: object, args: _Args, kwargs: _Kwargs) -> None:
    environment = child_environment(args[_ENV] if len(args) > _ENV else kwargs.get("env"))
    if environment is None:
        return wrapped(*args, **kwargs)
    if len(args) > _ENV:
        changed, named = (*args[:_ENV], environment, *args[_ENV + 1 :]), kwargs
    else:
        changed, named = args, {**kwargs, "env": environment}
    try:
        return wrapped(*changed, **named)
    except OSError as error:
        if error.errno != errno.E2BIG:
            raise
    return wrapped(*args, **kwargs)


class _Inherited:
    """The carrier of a process object; to unpickle it, in the child that was spawned, is to enter its context."""

    def __init__(self, carrier: Mapping[str, str]) -> None:
        self._carrier = carrier

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Mapping[str, str]]]:
        return _enter, (self._carrier,)


def _enter(carrier: Mapping[str, str]) -> _Inherited:
    with swallowed("the context of a child process"):
        otel_context.attach(extract_trusted(carrier, getter=VARIABLES))
    return _Inherited(carrier)


def _start(wrapped: Callable[..., None], instance: Any, args: _Args, kwargs: _Kwargs) -> None:
    """Give the process its carrier; a fork needs none, since it inherits the context itself."""
    with swallowed("the context for a child process"):
        worker = getattr(instance, "_target", None) in _WORKERS  # it has no run of its own; its tasks have
        if not worker and (carrier := carrier_of_run()):
            instance._runrecord_context = _Inherited(carrier)  # noqa: SLF001
    return wrapped(*args, **kwargs)


class _Task:
    """A function that runs in the context it was submitted in, or in none: a worker may have been forked from any."""

    def __init__(self, function: Callable[..., object], carrier: Mapping[str, str]) -> None:
        self._function = function
        self._carrier = carrier

    def __call__(self, *args: object, **kwargs: object) -> object:
        context = Context()
        with swallowed("the context of a task"):
            context = extract_trusted(self._carrier, getter=VARIABLES)
        token = otel_context.attach(context)
        try:
            return self._function(*args, **kwargs)
        finally:
            otel_context.detach(token)


class _ThreadTask:
    """A function that runs in the context it was submitted in, in a thread of this process."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function
        self._context = otel_context.get_current()

    def __call__(self, *args: object, **kwargs: object) -> object:
        token = otel_context.attach(self._context)
        try:
            return self._function(*args, **kwargs)
        finally:
            otel_context.detach(token)


def _submit(wrapped: Callable[..., object], instance: object, args: _Args, kwargs: _Kwargs) -> object:
    with swallowed("the context for a task"):
        threads = isinstance(instance, multiprocessing.pool.ThreadPool)
        if args and callable(args[0]):
            task = _ThreadTask(args[0]) if threads else _Task(args[0], carrier_of_run())
            args = (task, *args[1:])
        elif callable(kwargs.get("func")):
            function = kwargs["func"]
            kwargs = {
                **kwargs,
                "func": _ThreadTask(function) if threads else _Task(function, carrier_of_run()),
            }
    return wrapped(*args, **kwargs)
