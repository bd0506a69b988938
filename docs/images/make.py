# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Make the pictures of the README and of the docs anew: a run in a real Arize Phoenix, the demo in a terminal, a report.

    .venv/bin/python docs/images/make.py

It needs Chromium, and installs Phoenix as the demo does.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from runrecord.demo import phoenix

HERE = Path(__file__).resolve().parent
WIDTH = 112
BROWSER = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--window-size=1500,1060", "--virtual-time-budget=25000",
]  # fmt: skip


def main() -> None:
    """Run the demo with Phoenix, photograph both, stop it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("Chromium is not installed; on Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="runrecord-") as directory:
        place = Path(directory) / "demo"
        environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
        command = [
            str(Path(sys.executable).parent / "runrecord"),
            "demo",
            "--ui",
            "phoenix",
            "--keep",
            "--directory",
            str(place),
        ]
        log = Path(directory) / "terminal"
        with log.open("w") as output:
            demo = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            deadline = time.monotonic() + 300
            while "Ctrl-C" not in log.read_text():
                if demo.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the demo did not get there:\n{log.read_text()}")
                time.sleep(0.5)
            text = log.read_text()
            found = re.search(r"http://127\.0\.0\.1:\d+", Text.from_ansi(text).plain.split("Phoenix: ")[-1])
            assert found is not None
            spans = phoenix.spans(found[0])
            trace = next(
                s["context"]["trace_id"]
                for s in reversed(spans)
                if s["attributes"].get("session.id") == "refund-a"
            )
            subprocess.run(
                [chromium, *BROWSER, f"--user-data-dir={directory}/browser", f"--screenshot={HERE / 'phoenix.png'}", f"{found[0]}/redirects/traces/{trace}"],
                check=True, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        finally:
            demo.send_signal(signal.SIGTERM)
            demo.wait()
        _report(chromium, place, Path(directory))
    _terminal(text, str(place))


def _report(chromium: str, place: Path, scratch: Path) -> None:
    """Keep the upper part of the report of run A."""
    page = scratch / "report.html"
    with zipfile.ZipFile(place / "refund-a.auditbundle.zip") as bundle:
        page.write_bytes(bundle.read("report.html"))
    size = "--window-size=1000,1100"
    subprocess.run(
        [chromium, *BROWSER, size, f"--user-data-dir={scratch}/browser", f"--screenshot={HERE / 'report.png'}", page.as_uri()],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _terminal(text: str, place: str) -> None:
    """Keep run A's tree and what follows the trees, as a terminal shows them."""
    lines = text.replace(place, "runrecord-demo").splitlines()
    plain = [Text.from_ansi(line).plain for line in lines]
    first = next(i for i, line in enumerate(plain) if line.startswith("Run "))
    second = next(i for i, line in enumerate(plain) if i > first and line.startswith("Run "))
    redacted = next(i for i, line in enumerate(plain) if line.startswith("What the gateway redacted"))
    last = next(i for i, line in enumerate(plain) if line.startswith("Where to look next"))
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print("$ make demo", style="bold")
    for line in (*lines[:second], "[two more runs]", "", *lines[redacted:last]):
        console.print(Text.from_ansi(line))
    console.save_svg(str(HERE / "terminal.svg"), title="make demo")


if __name__ == "__main__":
    main()
