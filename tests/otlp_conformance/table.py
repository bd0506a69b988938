# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The results of several receivers side by side, as a page of the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from tests.otlp_conformance.model import Result

_HEAD = """# Conformance to OTLP

There is no official conformance suite for OTLP receivers. This one is black box: it needs nothing of a receiver but its ports, and runs
against any:

```sh
python -m tests.otlp_conformance --http http://127.0.0.1:4318 --grpc 127.0.0.1:4317 --json report.json
```

Each rule is from the specification of OTLP 1.11, under the heading that is named (headings that are there for gRPC and for HTTP have the
latter in parentheses); a rule may be several cases: of each signal, encoding, or kind of fault. "-" is where a rule does not apply.
An overloaded receiver is needed for throttling: `--overloaded-http`, `--overloaded-grpc`.

This page is written by the tests, which run the suite against the gateway and against a stock OpenTelemetry Collector
(`tests/otelcol/builder.yaml`), both with limits of 2 MiB: `WRITE_CONFORMANCE=1 pytest tests/otlp_conformance`.
"""


def render(receivers: Mapping[str, Sequence[Result]]) -> str:
    """Return the page.

    Args:
        receivers: The results of the same cases, by the name of the receiver.
    """
    lines = [_HEAD, "| | " + " | ".join(receivers) + " |", "|---" * (1 + len(receivers)) + "|"]
    for level in ("MUST", "SHOULD"):
        cells = [
            _summary([each for each in results if each.level == level]) for results in receivers.values()
        ]
        lines.append(f"| {level} | {' | '.join(cells)} |")
    lines += [
        "",
        "| rule | heading | level | " + " | ".join(receivers) + " |",
        "|---" * (3 + len(receivers)) + "|",
    ]
    columns = [
        [list(found) for _, found in groupby(results, lambda each: each.name.partition("[")[0])]
        for results in receivers.values()
    ]
    for cells_of_rule in zip(*columns, strict=True):
        first = cells_of_rule[0][0]
        row = " | ".join(_cell(found) for found in cells_of_rule)
        transport = {"grpc": "gRPC", "http": "HTTP"}[first.name.partition(".")[0]]
        rule = first.rule.replace("|", "\\|")
        lines.append(f"| {transport}: {rule} | {first.section} | {first.level} | {row} |")
    return "\n".join(lines) + "\n"


def _summary(results: Sequence[Result]) -> str:
    counts = Counter(each.outcome for each in results)
    return f"{counts['pass']} of {counts['pass'] + counts['fail']} cases"


def _cell(results: Sequence[Result]) -> str:
    failed = [each for each in results if each.outcome == "fail"]
    if failed:
        why = "; ".join(sorted({each.detail for each in failed}))
        share = "" if len(results) == 1 else f" ({len(failed)} of {len(results)})"
        return f"**no**{share}: {why}"
    return "yes" if any(each.outcome == "pass" for each in results) else "-"
