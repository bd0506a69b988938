# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Say how well a receiver keeps the rules of OTLP: ``python -m tests.otlp_conformance --http URL --grpc HOST:PORT``.

It needs no access to the receiver but its ports, and sends it a few hundred small requests and some as large as its limit.
Exit status 1 if it breaks a MUST.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections import Counter
from pathlib import Path

from tests.otlp_conformance.model import Result
from tests.otlp_conformance.suite import run
from tests.otlp_conformance.wire import Target


def main() -> int:
    """Read the arguments, run the suite, print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.otlp_conformance", description=__doc__)
    parser.add_argument("--http", default="", help="base URL of OTLP over HTTP")
    parser.add_argument("--grpc", default="", help="HOST:PORT of OTLP over gRPC, in plain text")
    parser.add_argument("--limit", type=int, default=64 << 20, help="bytes of the largest request it takes")
    parser.add_argument("--overloaded-http", default="", help="the same of one that takes nothing now")
    parser.add_argument("--overloaded-grpc", default="", help="the same of one that takes nothing now")
    parser.add_argument("--header", action="append", default=[], help="NAME=VALUE, sent with every request")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    options = parser.parse_args()
    if not options.http and not options.grpc:
        parser.error("name --http, --grpc, or both")
    target = Target(
        options.http,
        options.grpc,
        options.limit,
        options.overloaded_http,
        options.overloaded_grpc,
        dict(each.split("=", 1) for each in options.header),
    )

    def show(result: Result) -> None:
        if result.outcome != "pass":
            print(f"{result.outcome:4}  {result.level:6}  {result.name}: {result.rule} ({result.section})")
            print(f"      {result.detail}")

    results = run(target, show)
    counts = Counter((result.level, result.outcome) for result in results)
    for level in ("MUST", "SHOULD"):
        passed, failed, other = (counts[level, outcome] for outcome in ("pass", "fail", "n/a"))
        print(f"{level:6} {passed} pass, {failed} fail, {other} not applicable")
    if options.json:
        options.json.write_text(json.dumps([dataclasses.asdict(each) for each in results], indent=1) + "\n")
    return 1 if counts["MUST", "fail"] else 0


if __name__ == "__main__":
    sys.exit(main())
