# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What child processes run: functions that a pickle can name."""

import os
from typing import Any

from runrecord.instrumentation import propagation, recorder


def here() -> tuple[str | None, int | None]:
    """Return the run and the step that this process would tell another one."""
    carrier: dict[str, str] = {}
    propagation.inject_trusted(carrier)
    run = propagation.remote_run(propagation.extract_trusted(carrier))
    return (None, None) if run is None else (run.run_id, run.step_index)


def report(connection: Any, *_: object) -> None:
    connection.send((os.getpid(), here()))
    connection.close()


def tell(number: int) -> tuple[int, tuple[str | None, int | None]]:
    return number, here()


def fail(number: int) -> None:
    raise LookupError(number)


def record(connection: Any) -> None:
    """Make a record in the scope that was inherited by a fork, and say which source it has."""
    scope = recorder.current()
    assert scope is not None
    tool = scope.tool("in_child")
    tool.stop()
    attributes = tool.span.attributes  # type: ignore[attr-defined]
    connection.send((attributes["runrecord.source.id"], attributes["runrecord.record.seq"]))
    connection.close()
