# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord quarantine`: what could not be redacted and was set aside, and how to read one of it."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from runrecord.cli.console import console, fail


def quarantine(
    directory: Annotated[
        Path,
        typer.Argument(help="The directory, such as STATE_DIR/quarantine/redaction.", show_default=False),
    ],
    opened: Annotated[
        str | None,
        typer.Option("--open", metavar="FILE", help="Write this request out, as it was received."),
    ] = None,
) -> None:
    """List the requests that could not be redacted, or open one.

    They are sealed under the tenant key (RUNRECORD_KEY). What --open writes to standard output is OTLP as serialised protobuf with all
    that is in it, so mind where it goes. When the policy is mended, it can be posted to the gateway once more, and its file deleted.

    [dim]$ runrecord quarantine /var/lib/runrecord/gateway/quarantine/redaction[/]
    [dim]$ runrecord quarantine DIRECTORY --open FILE | curl -H 'content-type: application/x-protobuf' --data-binary @- http://127.0.0.1:4318/v1/traces[/]
    """
    try:
        from runrecord.processors import ProcessorError
        from runrecord.processors.redaction import RedactionPolicy, RedactionQuarantine
        from runrecord.semconv.commitment import load_tenant_key
        from runrecord.semconv.errors import SemconvError
    except ModuleNotFoundError as error:
        fail(
            f"quarantine needs {error.name}, which is not installed.", 'pip install "runrecord[cli]"', code=4
        )
    if not directory.is_dir():
        fail(
            f"{directory} is no directory.",
            "name the one of the policy, processors.redaction.quarantine",
            code=4,
        )
    try:
        policy = RedactionPolicy.parse({"on_error": "quarantine"})
        place = RedactionQuarantine.make(policy, load_tenant_key(create=False).pseudonym_key(), directory)
        assert place is not None
        entries = place.entries()
        if opened is None:
            table = Table("file", "set aside", "signal", "bytes", box=None, pad_edge=False)
            for entry in entries:
                when = datetime.fromtimestamp(entry.time_unix_nano // 10**9, timezone.utc)
                size = str(entry.path.stat().st_size)
                table.add_row(entry.path.name, f"{when:%Y-%m-%d %H:%M:%SZ}", entry.signal.value, size)
            console.print(table if entries else "nothing is set aside")
            return
        for entry in entries:
            if entry.path.name == opened:
                sys.stdout.buffer.write(place.read(entry))
                return
    except (ProcessorError, SemconvError) as error:
        fail(str(error))
    fail(f"there is no {opened} in {directory}.", f"runrecord quarantine {directory}")
