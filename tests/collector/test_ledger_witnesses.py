# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A gateway has its ledger cosigned by a real witness, and goes on without it."""

from __future__ import annotations

import httpx2
import pytest
from witness_server import Serving

from runrecord.collector.errors import StartError
from runrecord.ledger import Code, Ledger, build_bundle, verify_bundle
from runrecord.ledger.tlog_policy import TlogPolicy
from runrecord.ledger.trust import Trust


@pytest.fixture
def ledger_of():
    """The section of the ledger in a configuration."""
    return lambda config: next(e for n, e in config["exporters"].items() if n.startswith("ledger"))


def test_a_ledger_is_cosigned_and_goes_on_without_the_witness(  # noqa: PLR0917
    gateway_process, settings, requests, poll, tmp_path, ledger_of
):
    config = settings()
    section = ledger_of(config)
    with Ledger(section["directory"], origin="test/gateway") as made:
        vkey = made.log.vkey
    witness = Serving(tmp_path / "witness", "--log", vkey)
    policy = tmp_path / "policy"
    policy.write_text(f"log {vkey}\nwitness w1 {witness.vkey} {witness.url}\nquorum w1\n")
    section["witnesses"] = {"policy": str(policy), "interval": "1s"}
    gateway = gateway_process(config).start()
    try:
        headers = {"content-type": "application/x-protobuf"}

        def post(count):
            body = requests.traces(count).SerializeToString()
            assert httpx2.post(gateway.http + "/v1/traces", content=body, headers=headers).is_success

        def part():
            return httpx2.get(gateway.health).json()["parts"]["ledger witnesses"]

        def witnessed():
            with Ledger(section["directory"], read_only=True) as ledger:
                found = ledger.log.witnessed
                return found.size if found is not None else 0

        post(2)
        poll(lambda: witnessed() >= 2)
        wanted = TlogPolicy.parse(policy.read_bytes())
        with Ledger(section["directory"], read_only=True) as ledger:
            run = ledger.runs()[0].run
            archive = build_bundle(ledger, run)
        result = verify_bundle(archive, Trust.of_ledger(section["directory"]), policy=wanted)
        assert next(check for check in result.checks if check.name == "witnesses").code is Code.COMPLETE
        first = witnessed()
        witness.kill()
        post(5)  # three are new
        poll(lambda: "quorum w1 is not met: witness w1 can't be reached" in part().get("message", ""))
        with Ledger(section["directory"], read_only=True) as ledger:
            assert ledger.log.checkpoint.size > first
        assert witnessed() == first
        witness.start(int(witness.url.rsplit(":", 1)[1]))
        poll(lambda: witnessed() > first)
        poll(lambda: part()["status"] == "ok")
    finally:
        gateway.stop()
        witness.kill()


@pytest.mark.parametrize(
    ("text", "why"),
    [(None, "can't be read"), ("quorum w1\n", "line 1 of the policy"), ("quorum none\n", "no witness in")],
)
def test_a_policy_that_can_not_be_used_stops_the_start(  # noqa: PLR0917
    run_gateway, settings, tmp_path, text, why, ledger_of
):
    config = settings()
    policy = tmp_path / "policy"
    if text is not None:
        policy.write_text(text)
    ledger_of(config)["witnesses"] = {"policy": str(policy)}
    with pytest.raises(StartError, match=why):
        run_gateway(config=config)
