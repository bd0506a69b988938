# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The context in environment variables: what a child process is started with, and what this one was.

OpenTelemetry specification, "Environment Variables as Context Propagation Carriers": ``TRACEPARENT``, ``TRACESTATE``,
``BAGGAGE``. Nothing is added outside of a run.
"""

import os
import re
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.propagate import get_global_textmap
from opentelemetry.propagators.textmap import Getter, Setter

from runrecord.instrumentation._remote import position, remote_run
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.propagation.carriers import extract_trusted, inject_trusted


def variable(field: str) -> str:
    """Return the name of the environment variable for a propagator's field, by the rule of the specification."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", field).upper() or "_"
    return f"_{name}" if name[0].isdigit() else name


class _Variables(Getter[Mapping[str, str]], Setter[MutableMapping[str, str]]):
    def get(self, carrier: Mapping[str, str], key: str) -> list[str] | None:
        value = carrier.get(variable(key))
        return None if value is None else [value]

    def keys(self, carrier: Mapping[str, str]) -> list[str]:
        return list(carrier)

    def set(self, carrier: MutableMapping[str, str], key: str, value: str) -> None:
        carrier[variable(key)] = value


VARIABLES: Final = _Variables()
"""Reads and writes carriers whose keys are names of environment variables."""


def carrier_of_run() -> dict[str, str]:
    """Return the current context as environment variables; empty outside of a run."""
    carrier: dict[str, str] = {}
    if position(otel_context.get_current()) is not None:
        inject_trusted(carrier, setter=VARIABLES)
    return carrier


@guarded
def child_environment(given: Mapping[Any, Any] | None) -> dict[Any, Any] | None:
    """Return the environment for a child process, or None if it is to be left as it is.

    Args:
        given: What the caller passes as ``env``; None for the environment of this process. It is not changed. A context
            that the caller put there itself, so that it differs from the one of this process, is kept.
    """
    carrier = carrier_of_run()
    if not carrier:
        return None
    result = dict(os.environ if given is None else given)
    names = {variable(field) for field in get_global_textmap().fields} | set(carrier)
    for name in names:
        for key in (name, os.fsencode(name)):
            if key in result and os.fsdecode(result.pop(key)) != os.environ.get(name):
                return None
    result.update(carrier)
    return result


@guarded
def enter_parent_context() -> object | None:
    """Make the run that started this process current, for all of this process; return the token to leave it by."""
    context = extract_trusted(os.environ, getter=VARIABLES)
    return None if remote_run(context) is None else otel_context.attach(context)
