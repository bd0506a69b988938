# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The ledger, the commands and the gateway over each store that has an address."""

from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

from runrecord.cli.main import app
from runrecord.collector import ConfigError, GatewayConfig, parse_config
from runrecord.ledger import Ledger, LedgerError, Trust, fsck
from runrecord.ledger.stores.location import open_store


def runrecord(*arguments, location=None):
    """Run a command, in this process; of an error, the text is in ``output``."""
    return CliRunner().invoke(app, arguments, env={"RUNRECORD_LEDGER": location, "COLUMNS": "200"})


@pytest.fixture
def filled(addressed_place, builders):
    with Ledger(addressed_place.location, origin="example.com/refunds") as ledger:
        for run in ("run-0001", "run-0002"):
            ledger.append_entries(builders.approved_refund(run).entries)
    return addressed_place


def test_runs_are_found_and_shown_and_proved(filled, tmp_path):
    listed = runrecord("show", "--json", location=filled.location)
    assert {each["run"] for each in json.loads(listed.stdout)} == {"run-0001", "run-0002"}, listed.output
    shown = runrecord("show", "run-0001", "--ledger", filled.location)
    assert "Run run-0001" in shown.stdout
    assert runrecord("audit", "--all", location=filled.location).exit_code == 0
    bundle, trust = str(tmp_path / "b.zip"), str(tmp_path / "trust.txt")
    made = runrecord("bundle", "run-0001", "-o", bundle, "--trust-out", trust, location=filled.location)
    assert made.exit_code == 0, made.output
    for option in (["--trust", trust], ["--ledger", filled.location]):
        verified = runrecord("verify", bundle, *option)
        assert verified.exit_code == 0, verified.stdout
    assert Trust.of_ledger(filled.location).log[0].name == "example.com/refunds"


def test_a_reader_on_another_machine_finds_the_runs_too_and_keeps_what_it_read(filled, monkeypatch, tmp_path):
    monkeypatch.setenv("RUNRECORD_STATE_DIR", str(tmp_path / "elsewhere"))
    for _ in range(2):
        with Ledger(filled.location, read_only=True) as ledger:
            assert len(ledger.runs()) == 2
            assert len(ledger.run("run-0002").records) > 5
            size = ledger.log.size
    if filled.shared:
        (index,) = (tmp_path / "elsewhere").rglob("read.sqlite")
        assert index.stat().st_size > 0
        with Ledger(filled.location, read_only=True) as ledger:
            assert ledger._index.index.size == size


def test_two_writers_index_what_both_wrote(shared_place, builders):
    with (
        Ledger(shared_place.location, origin="example.com/two") as one,
        Ledger(shared_place.location) as two,
    ):
        for number in range(4):
            writer = (one, two)[number % 2]
            writer.append_entries(builders.approved_refund(f"run-{number:04d}").entries)
        two.publish()
        one.publish()
        assert {each.run for each in one.runs()} == {each.run for each in two.runs()}
        assert len(one.runs()) == 4
        assert not one._index._waiting


def test_fsck_says_whether_all_is_as_it_was_signed(filled):
    done = runrecord("fsck", "--ledger", filled.location)
    assert (done.exit_code, "is whole" in done.stdout) == (0, True), done.output
    name = next(each for each in filled.objects() if each.startswith("tile/entries"))
    filled.put(name, filled.objects()[name][:-1] + b"?")
    done = runrecord("fsck", "--json", location=filled.location)
    assert done.exit_code == 1
    assert json.loads(done.stdout)["problems"]
    done = runrecord("fsck", location=filled.location)
    assert (done.exit_code, "is not what was signed" in done.output) == (1, True)


def test_a_ledger_is_copied_by_a_command(filled, tmp_path):
    target = str(tmp_path / "copy")
    done = runrecord("ledger", "copy", filled.location, target)
    assert (done.exit_code, "example.com/refunds" in done.stdout) == (0, True), done.output
    assert fsck(target).ok
    assert not (tmp_path / "copy" / ".state" / "log.key").exists()
    again = runrecord("ledger", "copy", filled.location, target, "--with-keys")
    assert "0 files were new" in again.stdout
    with Ledger(target) as ledger:
        assert len(ledger.runs()) == 2
    other = runrecord("ledger", "copy", target, filled.location)
    assert other.exit_code == 0, other.output
    done = runrecord("ledger", "copy", str(tmp_path / "nothing"), target)
    assert (done.exit_code, "there is no ledger in" in done.output) == (1, True)


def request_of(gateways, number):
    """One step of a run."""
    request = gateways.ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(name="agent_step act")
    span.trace_id, span.span_id = gateways.TRACE_ID, number.to_bytes(8, "big")
    span.start_time_unix_nano, span.end_time_unix_nano = number, number + 1
    for key, value in (("runrecord.step.kind", "act"), ("runrecord.run.id", "run-7")):
        span.attributes.add(key=key).value.string_value = value
    return request


def test_the_gateway_seals_into_a_store(addressed_place, gateways, tmp_path):
    settings = gateways.make_settings(tmp_path)
    key = "store" if addressed_place.shared else "directory"
    settings["exporters"] = {"ledger": {key: addressed_place.location, "origin": "example.com/gateway"}}
    running = gateways.InThread(settings).start()
    try:
        assert running.post(request_of(gateways, 1)).status_code == 200
        gateways.wait_until(lambda: running.metric("runrecord_ledger_appended_total") >= 1)
    finally:
        running.stop()
    with Ledger(addressed_place.location, read_only=True) as ledger:
        assert ledger.log.origin == "example.com/gateway"
        assert ledger.log.size >= 1
    assert fsck(addressed_place.location).ok


# --- the configuration -------------------------------------------------------------------------------------------


def ledger_of(**section):
    return GatewayConfig.model_validate({"exporters": {"ledger": section}}).ledgers["ledger"]


ADDRESS = "postgresql://recorder:hidden@db.example.com/audit"


def test_a_store_is_configured_by_its_address_which_stays_secret(monkeypatch):
    exporter = ledger_of(store=ADDRESS)
    assert exporter.location == ADDRESS
    assert exporter.where == "postgresql://db.example.com:5432/audit (log ledger)"
    assert "hidden" not in repr(exporter) + str(exporter.model_dump()) + exporter.model_dump_json()
    monkeypatch.setenv("AUDIT", ADDRESS)
    text = "exporters: {ledger: {store: '${env:AUDIT}'}}"
    assert parse_config(text, environment={"AUDIT": ADDRESS}).ledgers["ledger"].location == ADDRESS


def test_the_environment_names_a_store_where_the_file_names_no_place(monkeypatch):
    monkeypatch.setenv("RUNRECORD_LEDGER", ADDRESS)
    assert ledger_of().location == ADDRESS
    assert GatewayConfig().ledgers["ledger"].location == ADDRESS
    assert ledger_of(directory="here").location == "here"
    monkeypatch.setenv("RUNRECORD_LEDGER", "there")
    assert ledger_of().location == "there"


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"store": ADDRESS, "directory": "x"}, "directory and store exclude each other"),
        ({"store": "ledger"}, "must begin with postgresql:// or s3://; for a directory, set directory"),
        ({"store": "mysql://root:hidden@host/x"}, "begins with postgresql:// or s3://"),
        ({"store": "s3://hidden@bucket/x"}, "put credentials into the environment"),
    ],
)
def test_what_is_wrong_with_a_place_is_said_without_the_address(section, words):
    with pytest.raises(ConfigError) as caught:
        parse_config(json.dumps({"exporters": {"ledger": section}}))
    assert words in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("package", "address", "command"),
    [
        ("psycopg", ADDRESS, 'pip install "runrecord[postgres]"'),
        ("obstore.store", "s3://bucket/log", 'pip install "runrecord[offload]"'),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(package, address, command, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(LedgerError) as caught:
        open_store(address)
    assert caught.value.next_step == command


def test_two_ledgers_in_one_store_are_refused():
    names = ["ledger/a", "ledger/b"]
    config = {
        "exporters": {names[0]: {"store": ADDRESS}, names[1]: {"store": f"{ADDRESS}?log=ledger"}},
        "service": {"pipelines": {"logs": {"exporters": names}}},
    }
    with pytest.raises(ConfigError, match="ledger/a has the same store"):
        parse_config(json.dumps(config))


@pytest.mark.postgres
def test_the_gateway_goes_on_after_the_server_has_crashed(postgres, postgres_place, gateways, tmp_path):
    settings = gateways.make_settings(tmp_path)
    settings["exporters"] = {"ledger": {"store": postgres_place.location}}
    running = gateways.InThread(settings).start()
    try:
        running.post(request_of(gateways, 1))
        gateways.wait_until(lambda: running.metric("runrecord_ledger_appended_total") >= 1)
        postgres.kill()
        assert running.post(request_of(gateways, 2)).status_code == 200  # it waits in the intake log
        gateways.wait_until(lambda: running.part("ledger")["status"] != "ok")
        assert (
            "can't be reached" in running.part("ledger")["message"]
            or "did not do" in running.part("ledger")["message"]
        )
        postgres.start()
        gateways.wait_until(lambda: running.part("ledger")["status"] == "ok")
    finally:
        if postgres.stopped:
            postgres.start()
        running.stop()
    with Ledger(postgres_place.location, read_only=True) as ledger:
        names = [leaf for leaf in ledger.log.leaves() if b"agent_step" in leaf]
    assert len(names) == 2
    assert fsck(postgres_place.location).ok


@pytest.mark.postgres
def test_a_key_file_that_is_not_there_is_named(postgres_place, gateways, tmp_path):
    settings = gateways.make_settings(tmp_path)
    settings["exporters"] = {
        "ledger": {"store": postgres_place.location, "key_file": str(tmp_path / "no.key")}
    }
    with pytest.raises(Exception, match=r"the log key .*no\.key can't be read"):
        gateways.InThread(settings).start()
