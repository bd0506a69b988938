# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""``runrecord check`` on files: every framing, every report, and errors that name the place."""

from __future__ import annotations

import asyncio
import base64
import gzip
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zstandard
from google.protobuf.json_format import MessageToDict
from typer.testing import CliRunner, Result

from runrecord.cli.checking.inputs import InputError, read
from runrecord.cli.main import app
from runrecord.exporters.intake import IntakeLog
from runrecord.processors.signal import Signal
from runrecord.semconv import attributes as a

ROOT = Path(__file__).resolve().parents[2]


def _samples() -> ModuleType:
    name = "runrecord_conformance_samples"
    if name not in sys.modules:
        path = ROOT / "tests" / "semconv" / "conformance" / "samples.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


SAMPLES = _samples()
BROKEN = "a_decision_without_its_policy"


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments)], input=stdin)


def telemetry(name: str | None = None) -> Any:
    if name is None:
        return SAMPLES.recorded.recorded()
    return next(sample for sample in SAMPLES.SAMPLES if sample.name == name).make()


def otlp_json(request: Any) -> Any:
    """OTLP/JSON: as protobuf's, but ids in hexadecimal and enumerations as numbers."""

    def fixed(value: Any) -> Any:
        if isinstance(value, list):
            return [fixed(item) for item in value]
        if not isinstance(value, dict):
            return value
        found = {}
        for key, item in value.items():
            is_id = key in {"traceId", "spanId", "parentSpanId"}
            found[key] = base64.b64decode(item).hex() if is_id else fixed(item)
        return found

    return fixed(MessageToDict(request, use_integers_for_enums=True))


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def lines(recorded: Any) -> bytes:
    return b"".join(json.dumps(otlp_json(request)).encode() + b"\n" for request in recorded.requests)


def bodies(recorded: Any) -> list[bytes]:
    return [request.SerializeToString() for request in recorded.requests]


FORMS = {
    "lines.jsonl": lines,
    "lines-with-gaps.jsonl": lambda t: b"\n" + lines(t).replace(b"\n", b"\n\n"),
    "document.json": lambda t: json.dumps(otlp_json(t.traces), indent=2).encode(),
    "array.json": lambda t: json.dumps([otlp_json(request) for request in t.requests], indent=2).encode(),
    "one.traces.pb": lambda t: bodies(t)[0],
    "one.pb": lambda t: bodies(t)[0],
    "varint.bin": lambda t: b"".join(varint(len(body)) + body for body in bodies(t)),
    "big-endian.bin": lambda t: b"".join(len(body).to_bytes(4, "big") + body for body in bodies(t)),
    "lines.jsonl.gz": lambda t: gzip.compress(lines(t)),
    "big-endian.bin.zst": lambda t: zstandard.compress(
        b"".join(len(body).to_bytes(4, "big") + body for body in bodies(t))
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_read_and_judged(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FORMS[name](telemetry()))
    good = run(path)
    assert (good.exit_code, good.stderr) == (0, ""), good.output
    assert " 0 violations" in good.stdout
    path.write_bytes(FORMS[name](telemetry(BROKEN)))
    bad = run(path)
    assert bad.exit_code == 1
    assert "VIOLATION missing-required (1)" in bad.stdout
    assert f"{path.name}" in bad.stdout
    assert "runrecord.policy.id is required and missing" in bad.stdout
    assert "next: " in bad.stdout


def test_the_standard_input(tmp_path: Path) -> None:
    assert run("-", stdin=lines(telemetry())).exit_code == 0
    bad = run("-", stdin=gzip.compress(bodies(telemetry(BROKEN))[0]))
    assert bad.exit_code == 1
    assert "<stdin>@0" in bad.stdout


def test_a_finding_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(lines(telemetry()) + b"\n" + lines(telemetry("a_check_that_is_named_after_another")))
    done = run(path, "--rule", "wrong-name")
    assert f"{path}:5  span 'verify totals'" in done.stdout


def test_a_directory_is_read_with_what_is_below_it_and_judged_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for place, body in zip(("1.pb", "a/2.pb", "a/b/3.pb"), bodies(telemetry()), strict=True):
        (tmp_path / place).write_bytes(body)
    (tmp_path / "notes.txt").write_text("not telemetry")
    done = run(tmp_path, "--format", "json")
    assert (done.exit_code, json.loads(done.stdout)["files"]) == (0, 3)


async def _fill(directory: Path, recorded: Any) -> None:
    log = IntakeLog(directory)
    for signal, body in zip((Signal.TRACES, Signal.LOGS, Signal.METRICS), bodies(recorded), strict=True):
        await log.append(signal, body)
    log.close()


def test_an_intake_log_of_the_gateway(tmp_path: Path) -> None:
    asyncio.run(_fill(tmp_path / "good", telemetry()))
    asyncio.run(_fill(tmp_path / "bad", telemetry(BROKEN)))
    assert run(tmp_path / "good").exit_code == 0
    assert run(tmp_path / "bad").exit_code == 1


@pytest.mark.parametrize(
    ("level", "code"), [("violation", 0), ("improvement", 1), ("information", 1), ("none", 0)]
)
def test_the_level_that_fails(tmp_path: Path, level: str, code: int) -> None:
    path = tmp_path / "traces.pb"
    path.write_bytes(bodies(telemetry("an_official_attribute_that_is_gone"))[0])
    assert run(path, "--fail-on", level).exit_code == code


def test_rules_can_be_chosen_and_ignored(tmp_path: Path) -> None:
    path = tmp_path / "traces.pb"
    path.write_bytes(bodies(telemetry(BROKEN))[0])
    assert run(path, "--ignore", "missing-required").exit_code == 0
    assert run(path, "--rule", "wrong-type").exit_code == 0
    assert run(path, "--rule", "missing-required").exit_code == 1
    wrong = run(path, "--ignore", "missing-requird")
    assert wrong.exit_code == 4
    assert "did you mean missing-required?" in wrong.stderr


def test_what_is_only_a_part_and_what_must_be_free_of_content(tmp_path: Path) -> None:
    path = tmp_path / "traces.pb"
    path.write_bytes(bodies(telemetry("a_decision_whose_run_is_not_there"))[0])
    assert run(path).exit_code == 1
    assert run(path, "--partial").exit_code == 0
    path.write_bytes(bodies(telemetry("content_where_none_may_be"))[0])
    assert run(path).exit_code == 0
    assert run(path, "--payload-free").exit_code == 1


def test_json_says_everything_and_counts_what_it_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_bytes(b"".join(lines(telemetry(BROKEN)) for _ in range(30)))
    done = run(path, "--format", "json", "--max-findings", 5)
    data = json.loads(done.stdout)
    assert (len(data["findings"]), data["left_out"], data["counts"]["violation"]) == (5, 25, 30)
    first = data["findings"][0]
    assert (first["rule"], first["attribute"], first["line"], first["signal"]) == (
        "missing-required",
        a.POLICY_ID,
        1,
        "runrecord.policy_decision",
    )
    assert first["record"]["span_id"]


def test_a_report_goes_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "traces.pb"
    path.write_bytes(bodies(telemetry(BROKEN))[0])
    done = run(path, "--format", "json", "-o", tmp_path / "out.json")
    assert "1 violation" in done.stdout
    assert json.loads((tmp_path / "out.json").read_text())["counts"]["violation"] == 1
    assert run(path, "-o", tmp_path / "no" / "out.json").exit_code == 4


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        (
            "a.jsonl",
            b'{"resourceSpans": []}\n{"resourceSpans": [}\n',
            "a.jsonl:2: the body is not valid JSON",
        ),
        ("a.json", b'{\n "resourceSpans": [\n  oops\n ]\n}\n', "a.json:3: the body is not valid JSON"),
        (
            "a.jsonl",
            b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}\n',
            "a.jsonl:1: $.resourceSpans[0].scopeSpans[0].spans[0].traceId must be hex",
        ),
        ("a.jsonl", b'{"spans": []}\n', "a.jsonl:1: a request has one of the keys resourceSpans"),
        ("a.json", b"[1]", "a.json:1: a request has one of the keys"),
        ("a.pb", b"\x0a\xff\xff", "a.pb@0: this is neither JSON nor OTLP"),
        ("a.pb", b"\x00\x00\x00\x09\x0a", "a.pb@0: the file ends inside a request"),
        ("a.pb", b"GIF89a", "a.pb@0: "),
        ("a.pb", b"\x7f", "a.pb@0: the file ends inside a request"),
        ("a.gz", b"\x1f\x8bnonsense", "a.gz can't be read"),
        ("a.zst", b"\x28\xb5\x2f\xfdnonsense", "a.zst can't be read"),
        ("a.jsonl", b"", "there was no span"),
    ],
)
def test_input_that_is_no_otlp(tmp_path: Path, name: str, content: bytes, where: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    done = run(path)
    assert done.exit_code == 4, done.output
    assert where in done.stderr
    assert "next:" in done.stderr


def test_wrong_command_lines(tmp_path: Path) -> None:
    for arguments in ((), ("x", "--listen"), (tmp_path,), (tmp_path / "missing.pb",)):
        done = run(*arguments)
        assert done.exit_code == 4, done.output
        assert "next:" in done.stderr
    done = run("-", "--registry", tmp_path, stdin=b"{}")
    assert done.exit_code == 4


def test_a_registry_error_names_file_line_and_key(tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text("description: x\nschema_url: 7\n")
    done = run("-", "--registry", tmp_path, stdin=b"{}")
    assert done.exit_code == 4
    assert "manifest.yaml:" in done.stderr
    assert "schema_url" in done.stderr


def test_reading_keeps_one_request_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(lines(telemetry()) + b"nonsense\n")
    requests = read(path)
    assert [next(requests).place.line for _ in range(3)] == [1, 2, 3]
    with pytest.raises(InputError, match=r"lines\.jsonl:4"):
        next(requests)
