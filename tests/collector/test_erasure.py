# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Content is erased while a real gateway writes: by run, by person, with retries, holds and kills in between."""

from __future__ import annotations

import subprocess
import sys

import httpx2
import pytest

from runrecord.ledger import Kind, Ledger, fsck
from runrecord.ledger.opening import ERASED, opens
from runrecord.ledger.run_keys import RunKeys, RunSecrets
from runrecord.semconv.commitment import load_tenant_key

BASIS = ("--legal-basis", "GDPR Art. 17, request 31", "--yes")


def runrecord(*arguments, given=""):
    command = [sys.executable, "-c", "from runrecord.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, input=given)


@pytest.fixture
def post():
    def send(gateway, request):
        headers = {"content-type": "application/x-protobuf"}
        answer = httpx2.post(
            gateway.http + "/v1/traces", content=request.SerializeToString(), headers=headers
        )
        assert answer.is_success

    return send


def of(directory, run):
    """The records of a run that the checkpoint covers."""
    if not (directory / "checkpoint").exists():
        return []
    with Ledger(directory, read_only=True) as ledger:
        return ledger.records_of(run)


def key_of(directory, run):
    secrets = RunSecrets(directory / ".state" / "run.keys")
    return RunKeys(secrets, load_tenant_key(create=False)).key("", run)


def steps(directory, run):
    return [record for record in of(directory, run) if record.entry.kind == Kind.STEP]


def test_a_run_is_erased_while_the_gateway_writes(  # noqa: PLR0917
    gateway_process, settings, requests, poll, tmp_path, post
):
    directory = tmp_path / "ledger"
    where = ("--ledger", str(directory))
    gateway = gateway_process(settings()).start()
    request = requests.traces(2, text="Ada wants her money back")
    post(gateway, request)
    post(gateway, requests.traces(2, start=2, run="run-2"))
    poll(lambda: len(steps(directory, "run-1")) == 2 and len(steps(directory, "run-2")) == 2)
    before = steps(directory, "run-1")
    assert opens(key_of(directory, "run-1"), before[0].entry, "note", "Ada wants her money back")
    planned = runrecord("erase", "--run", "run-1", "--dry-run", *where)
    assert (planned.returncode, planned.stdout.split()) == (
        0,
        ["run-1", str(len(of(directory, "run-1"))), "entries"],
    )
    done = runrecord("erase", "--run", "run-1", *BASIS, *where)
    assert done.returncode == 0, done.stderr
    assert "Run run-1: its content is erased, entry " in done.stdout
    assert key_of(directory, "run-1") is None
    assert key_of(directory, "run-2") is not None

    post(gateway, request)  # a retry, and a span that comes late
    post(gateway, requests.traces(1, start=7, text="and Bob too"))
    poll(lambda: len(steps(directory, "run-1")) == 3)
    after = steps(directory, "run-1")
    assert after[:2] == before
    assert after[2].entry.truncated[ERASED] == 2
    assert not after[2].entry.commitments
    assert not [record for record in of(directory, "run-1") if record.entry.kind == Kind.CONFLICT]
    again = runrecord("erase", "--run", "run-1", *BASIS, *where)
    assert (again.returncode, "erased already" in again.stderr) == (1, True)

    gateway.kill()
    gateway.start()
    post(gateway, request)
    post(gateway, requests.traces(1, start=8, run="run-2"))
    poll(lambda: len(steps(directory, "run-2")) == 3)
    assert len(steps(directory, "run-1")) == 3
    assert gateway.stop() == 0
    assert fsck(directory).ok
    shown = runrecord("show", "run-1", *where).stdout
    assert "ERASED: all content recorded of the run" in " ".join(shown.split())


def test_a_person_is_erased_as_given_and_behind_a_pseudonym(  # noqa: PLR0917
    gateway_process, settings, requests, poll, tmp_path, post
):
    directory = tmp_path / "ledger"
    where = ("--ledger", str(directory))
    config = settings(processors={"redaction": {"packs": ["pii"], "rules": {"email": "pseudonym"}}})
    gateway = gateway_process(config).start()
    for number, (run, who) in enumerate(
        [
            ("run-ada", "ada@mail.example.org"),
            ("run-bob", "bob@mail.example.org"),
            ("run-held", "ada@mail.example.org"),
        ]
    ):
        request = requests.traces(1, start=number, run=run)
        span = request.resource_spans[0].scope_spans[0].spans[0]
        span.attributes.add(key="user.id").value.string_value = who
        post(gateway, request)
    poll(lambda: all(steps(directory, run) for run in ("run-ada", "run-bob", "run-held")))
    assert runrecord("hold", "place", "run-held", "--reason", "case 7", *where).returncode == 0
    poll(lambda: len(of(directory, "run-held")) == 3)
    unknown = runrecord("erase", "--subject", "-", "--dry-run", *where, given="ada@mail.example.org\n")
    assert "No entry names this person" in unknown.stdout  # the default policy writes no pseudonym
    by_policy = ("--config", str(gateway.config_file))
    planned = runrecord("erase", "--subject", "ada@mail.example.org", "--dry-run", *by_policy, *where)
    assert [line.split()[0] for line in planned.stdout.splitlines()] == ["run-ada", "run-held"]
    assert "legal hold" in planned.stdout
    assert key_of(directory, "run-ada") is not None
    done = runrecord("erase", "--subject", "ada@mail.example.org", *BASIS, *by_policy, *where)
    assert done.returncode == 0, done.stderr
    assert "run-ada: its content is erased" in done.stdout
    gone = {run: key_of(directory, run) is None for run in ("run-ada", "run-bob", "run-held")}
    assert gone == {"run-ada": True, "run-bob": False, "run-held": False}
    poll(lambda: of(directory, "run-ada")[-1].entry.kind == Kind.ERASURE)
    assert gateway.stop() == 0
    stored = b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())
    assert b"ada@mail" not in stored
    run_key = load_tenant_key(create=False).run_key("run-ada")
    assert of(directory, "run-ada")[-1].entry.detail["subject"] == run_key.commit(
        "erasure.subject", "ada@mail.example.org"
    )


def test_a_gateway_that_keeps_content_refuses_and_says_until_when(
    run_gateway, settings, requests, poll, tmp_path
):
    directory = tmp_path / "ledger"
    gateway = run_gateway(exporters={"ledger": {"erasure": {"after_days": 36500}}})
    assert gateway.post(requests.traces(1)).is_success
    poll(lambda: steps(directory, "run-1"))
    refused = runrecord("erase", "--run", "run-1", *BASIS, "--ledger", str(directory))
    assert refused.returncode == 1
    assert "can't be erased before 21" in refused.stderr
    assert key_of(directory, "run-1") is not None


def test_a_kill_after_the_entry_leaves_no_key(  # noqa: PLR0917
    gateway_process, settings, requests, poll, tmp_path, post
):
    directory = tmp_path / "ledger"
    gateway = gateway_process(settings()).start()
    post(gateway, requests.traces(2))
    poll(lambda: len(steps(directory, "run-1")) == 2)
    before = (directory / ".state" / "run.keys").read_bytes()
    assert runrecord("erase", "--run", "run-1", *BASIS, "--ledger", str(directory)).returncode == 0
    gateway.kill()
    (directory / ".state" / "run.keys").write_bytes(before)  # as if the kill had come before the file
    assert key_of(directory, "run-1") is not None
    gateway.start()
    assert key_of(directory, "run-1") is None
    gateway.stop()


def test_the_wrong_command_line_is_refused(tmp_path):
    where = ("--ledger", str(tmp_path / "none"))
    for arguments in ([], ["--run", "r", "--subject", "s"], ["--run", "r"], ["--subject", " ", *BASIS]):
        assert runrecord("erase", *arguments, *where).returncode == 4
    missing = runrecord("erase", "--run", "r", *BASIS, *where)
    assert (missing.returncode, "there is no ledger" in missing.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []
