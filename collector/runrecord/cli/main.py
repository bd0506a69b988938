# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The entry point of ``runrecord``: registers the commands and maps how they end to exit codes."""

from __future__ import annotations

import sys
from importlib import import_module, metadata
from typing import Annotated, Any, NoReturn, cast

try:
    import typer
except ImportError:
    sys.exit('runrecord: the command line is an extra. Install it with: pip install "runrecord[cli]"')

from runrecord.cli.console import console
from runrecord.cli.hold import hold
from runrecord.cli.ledger import ledger
from runrecord.cli.witness import witness

USAGE_ERROR = 4
"""Exit code of a wrong command line; 1 to 3 are verdicts (ledger.md, "Audit")."""

# Name and panel, in the order of --help. A module of the same name holds each command, and imports what it runs when it runs.
_COMMANDS = (
    ("demo", "Start here"),
    ("doctor", "Start here"),
    ("check", "Start here"),
    ("runs", "What happened"),
    ("show", "What happened"),
    ("audit", "What happened"),
    ("diff", "What happened"),
    ("bundle", "Evidence"),
    ("verify", "Evidence"),
    ("receipt", "Evidence"),
    ("export", "Evidence"),
    ("fsck", "Evidence"),
    ("erase", "The ledger"),
    ("generate", "Conventions"),
    ("gateway", "The gateway"),
    ("validate", "The gateway"),
    ("print-config", "The gateway"),
    ("redact", "The gateway"),
    ("quarantine", "The gateway"),
    ("compile", "The gateway"),
)

app = typer.Typer(
    name="runrecord",
    help="What did the agent do, who allowed it, and can it be proved? Runs, approvals and policy decisions as OpenTelemetry: redacted, sealed, verifiable.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 fine, 1 failed, 2 gaps or unclosed, 3 cannot be verified, 4 wrong command line.",
)


def _version(value: bool) -> None:
    if value:
        console.print(f"runrecord {metadata.version('runrecord')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    del version


for _name, _panel in _COMMANDS:
    _function = _name.replace("-", "_")
    app.command(_name, rich_help_panel=_panel)(
        getattr(import_module(f"runrecord.cli.{_function}"), _function)
    )
app.add_typer(ledger, name="ledger", rich_help_panel="The ledger")
app.add_typer(hold, name="hold", rich_help_panel="The ledger")
app.add_typer(witness, name="witness", rich_help_panel="Evidence")


def main() -> NoReturn:
    """Run the command line and exit; a wrong one exits with 4."""
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        sys.exit(130)
    except typer.TyperException as error:
        from typer import rich_utils

        rich_utils.rich_format_error(cast("Any", error))  # typer's own printer; its type is private
        sys.exit(USAGE_ERROR)
    sys.exit(code if isinstance(code, int) else 0)
