# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A real gateway keeps what its entries commit to in a vault."""

from __future__ import annotations

import httpx2
import pytest

from runrecord.collector import GatewayConfig
from runrecord.ledger import Kind, Ledger
from runrecord.ledger.erasure import Target, encode_targets, erase
from runrecord.ledger.vault import vault_of
from runrecord.semconv.commitment import load_tenant_key

ASKED = {"scope": "run", "legal_basis": "GDPR Art. 17", "actor": "grace", "time": "1"}


def steps(directory, run):
    if not (directory / "checkpoint").exists():
        return []
    with Ledger(directory, read_only=True) as ledger:
        return [record.entry for record in ledger.records_of(run) if record.entry.kind == Kind.STEP]


def opened(directory, entries):
    with Ledger(directory, read_only=True) as ledger:
        vault = vault_of(ledger, load_tenant_key(create=False))
        return [vault.open(entry) for entry in entries]


def objects(place):
    return {
        path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()
    }


def test_a_gateway_keeps_contents_until_they_are_erased(gateway_process, settings, requests, poll, tmp_path):
    directory, place = tmp_path / "ledger", tmp_path / "vault"
    vault = {"directory": str(place), "attributes": ["note", "otel.status_description"]}
    config = settings(exporters={"ledger": {"vault": vault}})
    gateway = gateway_process(config).start()

    def post(request):
        headers = {"content-type": "application/x-protobuf"}
        body = request.SerializeToString()
        assert httpx2.post(gateway.http + "/v1/traces", content=body, headers=headers).is_success

    request = requests.traces(1, text="Ada wants her money back")
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.status.message = "refused"
    span.attributes.add(key="secret").value.string_value = "not for the vault"
    post(request)
    post(requests.traces(1, start=1, run="run-2", text="Bob"))
    poll(lambda: steps(directory, "run-1") and steps(directory, "run-2"))
    (one,), (two,) = steps(directory, "run-1"), steps(directory, "run-2")
    assert opened(directory, [one, two]) == [
        {"note": "Ada wants her money back", "otel.status_description": "refused"},
        {"note": "Bob"},
    ]
    assert "secret" in one.commitments
    before = objects(place)
    gateway.kill()
    gateway.start()
    post(request)  # a retry
    post(requests.traces(1, start=2, run="run-2", text="Bob"))
    poll(lambda: len(steps(directory, "run-2")) == 2)
    after = objects(place)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 1
    assert not [name for name, data in after.items() if b"Ada" in data or b"run-" in name.encode()]
    assert gateway.stop() == 0
    with Ledger(directory) as ledger:
        erase(ledger, {**ASKED, "targets": encode_targets([Target("run-1")])})
    assert opened(directory, [one, two]) == [{}, {"note": "Bob"}]
    assert len(objects(place)) == 2


def test_what_the_vault_does_not_take_waits(run_gateway, requests, poll, tmp_path):
    directory, place = tmp_path / "ledger", tmp_path / "vault"
    place.write_text("a file, where a directory should be")
    gateway = run_gateway(exporters={"ledger": {"vault": {"directory": str(place)}}})
    assert gateway.post(requests.traces(1)).is_success
    poll(lambda: "the vault takes nothing" in gateway.part("ledger").get("message", ""))
    assert steps(directory, "run-1") == []
    place.unlink()
    poll(lambda: steps(directory, "run-1"))
    assert opened(directory, steps(directory, "run-1"))[0]["note"] == "hello"


@pytest.mark.parametrize(
    ("vault", "message"),
    [
        ({}, "set directory or store"),
        ({"directory": "/v", "store": "s3://b/v"}, "set directory or store"),
        ({"store": "http://example.com"}, "begins with s3"),
        ({"directory": "/v", "retention_days": {"steps": 3}}, "no kind of entry 'steps'"),
        ({"directory": "/v", "retention_days": {"step": 0}}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_configuration_is_refused(settings, vault, message):
    with pytest.raises(ValueError, match=message):
        GatewayConfig.model_validate(settings(exporters={"ledger": {"vault": vault}}))
