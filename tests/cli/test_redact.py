# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord redact` writes what the gateway would, and shows what it found without giving it away."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typer.testing import CliRunner

from runrecord.cli.main import app
from runrecord.processors.redaction.packs.templates import example

TOKEN = example("ghp_{b62*36}")
MAIL = "ada@example.com"
POLICY = """\
redaction:
  rules: {email: mask}
  keys:
    - {match: "gen_ai.tool.call.arguments", tool: create_refund, action: token}
    - {match: "*.password", action: token, inside_json: true}
    - {match: "wipe", action: drop_span}
  content: {gen_ai.input.messages: drop}
"""


@pytest.fixture
def policy(tmp_path: Path) -> str:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return str(path)


def run(*arguments: str, stdin: bytes | None = None) -> Any:
    return CliRunner().invoke(app, ["redact", *arguments], input=stdin)


def span_request(**attributes: str) -> bytes:
    request = ExportTraceServiceRequest()
    span = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            name="chat",
            trace_id=bytes(range(16)),
            span_id=bytes(range(8)),
            start_time_unix_nano=1,
            end_time_unix_nano=2,
        )
    )
    for key, value in attributes.items():
        span.attributes.add(key=key.replace("__", ".")).value.string_value = value
    return request.SerializeToString()


def test_text_from_the_standard_input() -> None:
    result = run("-", stdin=f"to {MAIL}\r\nplain é\n\xff".encode("latin-1") + TOKEN.encode())
    assert result.exit_code == 0
    assert result.stdout_bytes == "to [EMAIL]\r\nplain é\n".encode("latin-1") + b"\xff[GITHUB_TOKEN]"
    assert result.stderr == "2 found: email 1, github-token 1\n"
    assert run("-", stdin=b"nothing here\n").stderr == "nothing found\n"
    assert run("-", stdin=b"").stdout == ""


def test_a_key_over_many_lines_and_a_text_over_many_blocks(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    key = (
        "-----BEGIN " + "PRIVATE KEY-----\n" + example("{b62*64}\n") * 40 + "-----END " + "PRIVATE KEY-----\n"
    )
    filler = "a line of an ordinary log without a paragraph\n" * 11_500
    path.write_text(f"{filler}{key}{MAIL}\n{filler}{TOKEN}\n")
    result = run(str(path), "--format", "text")
    assert result.stdout == f"{filler}[PRIVATE_KEY]\n[EMAIL]\n{filler}[GITHUB_TOKEN]\n"


def test_json_lines_stay_json_and_their_keys_count(policy: str) -> None:
    lines = [{"user": {"password": "hunter2"}, "to": MAIL}, {"n": 4111111111111111}, {"a": [f"é\n{TOKEN}"]}]
    result = run("-", "-p", policy, stdin="".join(json.dumps(line) + "\n" for line in lines).encode())
    first, second, third = map(json.loads, result.stdout.splitlines())
    assert first == {"user": {"password": "[REDACTED]"}, "to": "*" * len(MAIL)}
    assert second == {"n": 0}
    assert third == {"a": ["é\n[GITHUB_TOKEN]"]}


def test_otlp_is_written_as_it_was_framed(tmp_path: Path, policy: str) -> None:
    body = span_request(gen_ai__output__messages=MAIL, gen_ai__input__messages="x")
    files = {
        "traces.pb": body,
        "traces.bin": (len(body).to_bytes(4, "big") + body) * 2,
        "traces.otlp": bytes([len(body) & 0x7F | 0x80, len(body) >> 7]) + body,
        "traces.pb.gz": gzip.compress(body),
    }
    for name, content in files.items():
        path, output = tmp_path / name, tmp_path / f"{name}.redacted"
        path.write_bytes(content)
        assert run(str(path), "-p", policy, "-o", str(output)).exit_code == 0, name
        assert not list(tmp_path.glob(".*.part"))
        written = output.read_bytes()
        if name == "traces.pb":
            redacted = written
        elif name == "traces.bin":
            redacted = written[4 : 4 + int.from_bytes(written[:4], "big")]
            assert len(written) == 2 * (4 + len(redacted))
        elif name == "traces.otlp":
            redacted = written[2:]
        else:
            span = json.loads(written)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
            assert (span["traceId"], span["spanId"]) == (bytes(range(16)).hex(), bytes(range(8)).hex())
            again = run("-", "-p", policy, stdin=written)
            assert json.loads(again.stdout) == json.loads(written)
            continue
        request = ExportTraceServiceRequest.FromString(redacted)
        attributes = request.resource_spans[0].scope_spans[0].spans[0].attributes
        said = {item.key: item.value.string_value for item in attributes}
        assert said["gen_ai.output.messages"] == "*" * len(MAIL)
        assert "gen_ai.input.messages" not in said


def test_a_diff_shows_what_changes_and_hides_what_was_there(tmp_path: Path, policy: str) -> None:
    path = tmp_path / "traces.pb"
    path.write_bytes(
        span_request(gen_ai__output__messages=f"for {MAIL} and {TOKEN}", gen_ai__tool__name="create_refund",
                     gen_ai__tool__call__arguments="free text", gen_ai__input__messages="a question")
    )  # fmt: skip
    result = run(str(path), "-p", policy, "--diff")
    assert result.exit_code == 0
    for gone in (MAIL, TOKEN, "free text", "a question"):
        assert gone not in result.stdout
    assert "+ for *************** and [GITHUB_TOKEN]" in result.stdout
    assert "- for *************** and ghp_•••••••••••• (40 bytes)" in result.stdout
    assert "span chat, gen_ai.output.messages, byte 4  email" in result.stdout
    assert "+ (the attribute is removed)" in result.stdout
    assert "key gen_ai.tool.call.arguments" in result.stdout
    assert "+ [REDACTED]" in result.stdout


def test_explain_says_why(policy: str) -> None:
    text = f"write to {MAIL}, PESEL 44051401359\n".encode()
    said = " ".join(run("-", "-p", policy, "--explain", stdin=text).stdout.split())
    assert "<stdin>:1:10 email" in said
    assert f"action mask: redaction.rules.email ({policy}:2)" in said
    assert "what Polish PESEL, by the word before it (high)" in said
    assert "why its form, the check 'pl_pesel'" in said
    assert "source Ministerstwo Cyfryzacji, PESEL (Apache-2.0)" in said
    assert "action token: the rule's own" in said
    word = run("-", "--explain", stdin=b"personnummer 880320-0016").stdout
    assert "the word 'person' before it, the check 'se_personnummer'" in word


def test_the_line_that_decides_about_a_key(policy: str) -> None:
    def decided(*arguments: str) -> str:
        return run("-p", policy, *arguments).stdout.strip().replace(policy, "policy.yaml")

    refund = "gen_ai.tool.call.arguments: token, by redaction.keys[0] (policy.yaml:4), match gen_ai.tool.call.arguments"
    assert decided("--key", "gen_ai.tool.call.arguments", "--tool", "create_refund") == refund
    assert "no rule by key" in decided("--key", "gen_ai.tool.call.arguments", "--tool", "search")
    assert "drop, by redaction.content.gen_ai.input.messages (policy.yaml:7)" in decided(
        "--key", "gen_ai.input.messages"
    )


def test_check_is_for_ci(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"x {TOKEN}\n")
    (tmp_path / "b.txt").write_text("clean\n")
    found = run(str(tmp_path / "a.txt"), str(tmp_path / "b.txt"), "--check")
    assert (found.exit_code, found.stdout, found.stderr) == (1, "", "1 found: github-token 1\n")
    assert run(str(tmp_path / "b.txt"), "--check").exit_code == 0
    assert run(str(tmp_path / "a.txt"), "--check", "--pack", "pii").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.txt"], "nowhere.txt can't be read: No such file or directory"),
        (["--format", "xml"], "no format 'xml'"),
        (["--show-secrets"], "--show-secrets is for a terminal"),
        (["--pack", "secrts"], "no pack 'secrts'; there are secrets"),
        (["-p", "nowhere.yaml"], "nowhere.yaml: can't be read"),
        (["-", "--format", "otlp"], "<stdin>:1: a request has one of the keys resourceSpans"),
    ],
)
def test_a_wrong_command_line_exits_with_4(arguments: list[str], said: str) -> None:
    result = run(*arguments, stdin=b'{"a": 1}\n')
    assert result.exit_code == 4
    assert said in " ".join(result.stderr.split())
    assert "next:" in result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("redaction: {pack: []}", "1:13: redaction.pack: unknown key; valid"),
        ("processors: {redaction: {packs: [piii]}}", "1:26: processors.redaction.packs: no pack 'piii'"),
        ("exporters: {}", "1:1: must have a section processors.redaction"),
        (
            "redaction: {rules: {emal: mask}}",
            "1:21: redaction.rules.emal: no rule 'emal' (did you mean 'email'?)",
        ),
        ("redaction: [", "not valid YAML"),
    ],
)
def test_a_wrong_policy_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    result = run("-p", str(path), stdin=b"")
    assert result.exit_code == 4
    assert said in " ".join(result.stderr.split())


def test_what_cannot_be_redacted_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("redaction: {limits: {request_confirms: 1}}")
    output = tmp_path / "out.txt"
    output.write_text("what was there")
    result = run(
        "-p", str(tmp_path / "policy.yaml"), "-o", str(output), stdin=f"{MAIL} {MAIL} {MAIL}".encode()
    )
    assert result.exit_code == 1
    assert "more than 1 candidates" in " ".join(result.stderr.split())
    assert output.read_text() == "what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.txt", "policy.yaml"]


def test_on_a_terminal_it_shows_instead_of_writing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from rich.console import Console

    from runrecord.cli import redact as command
    from runrecord.cli.redacting import show

    path = tmp_path / "a.txt"
    path.write_text(f"to {MAIL}\x1b[31m\n")
    shown = []
    for arguments in ([], ["--show-secrets"]):
        screen = io.StringIO()
        terminal = Console(file=screen, force_terminal=True, width=200, highlight=False)
        for module in (command, show):
            monkeypatch.setattr(module, "console", terminal)
        assert run(str(path), *arguments).stdout == ""
        shown.append(screen.getvalue())
    hidden, secret = shown
    assert MAIL not in hidden
    assert MAIL in secret
    assert "\x1b[31m" in hidden  # the colour of what goes
    assert "·[31m" in hidden  # what the input would do to the terminal, it does not
    assert "[EMAIL]" in hidden


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals of pipes")
def test_the_reader_may_go_away(tmp_path: Path) -> None:
    path = tmp_path / "big.txt"
    path.write_text("a line\n" * 200_000)
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", "from runrecord.cli.main import main; main()", "redact", str(path)],
        stdout=writer, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(writer)
    os.read(reader, 10)
    os.close(reader)
    _, said = process.communicate(timeout=60)
    assert process.returncode in {0, 1}
    assert b"Traceback" not in said
