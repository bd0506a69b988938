# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord runs` over a ledger on disk."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from runrecord.cli.runs import runs
from runrecord.ledger import Entry, Kind, Ledger
from runrecord.processors.redaction.actions import Replacer
from runrecord.processors.redaction.pseudonyms import PseudonymKey
from runrecord.semconv.commitment import LABEL_ACTOR, TenantKey

ADA = "ada@example.com"
KEY = TenantKey(b"k" * 32)

app = typer.Typer()
app.command()(runs)


def answer(run: str, who: str, number: int) -> Entry:
    attributes = {"runrecord.approval.actor.ref": who, "runrecord.approval.status": "approved"}
    return Entry(
        kind=Kind.APPROVAL_DECISION, run=run, tenant="shop", trace_id="ab" * 16, span_id=f"{number:016x}", attributes=attributes
    )  # fmt: skip


@pytest.fixture
def directory(tmp_path, builders, monkeypatch) -> Path:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("RUNRECORD_LEDGER", raising=False)
    monkeypatch.delenv("RUNRECORD_KEY", raising=False)
    monkeypatch.setenv("RUNRECORD_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    costly = builders.RunBuilder("costly")
    costly.clock += 10**15
    costly.begin()
    cost = {"runrecord__cost__amount": 12.5, "runrecord__cost__currency": "USD"}
    costly.tool("call_1", "wire_transfer", **cost)
    replacer = Replacer(PseudonymKey(KEY.pseudonym_key()))
    with Ledger(tmp_path / "ledger", origin="example.com/test") as ledger:
        ledger.append_entries(builders.approved_refund("7f3a-0001").entries)
        ledger.append_entries(builders.approved_refund("90bc-0002").entries)
        ledger.append_entries(costly.entries)
        ledger.append_entries(
            [
                answer("pseudonym", replacer.value("pseudonym", "email", ADA.encode(), b"shop").decode(), 1),
                answer("hash", replacer.value("hash", "email", ADA.encode(), b"shop").decode(), 2),
                answer("committed", KEY.run_key("committed").commit(LABEL_ACTOR, ADA), 3),
                Entry(kind=Kind.RUN_ABANDONED, run="pseudonym", detail={"last": "1"}),
                Entry(kind=Kind.LEGAL_HOLD, run="hash", detail={"action": "placed"}),
            ]
        )
    return tmp_path / "ledger"


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


def found(*arguments: str) -> list[str]:
    return [each["run"] for each in json.loads(run(*arguments, "--json"))["runs"]]


@pytest.mark.usefixtures("directory")
def test_all_runs_the_newest_first():
    output = run()
    positions = [
        output.index(name) for name in ("committed", "hash", "pseudonym", "costly", "90bc-0002", "7f3a-0001")
    ]
    assert positions == sorted(positions)
    assert re.search(r"pseudonym +abandoned", output)
    assert re.search(r"costly .* open .* 1 +12\.5 USD", output)
    assert re.search(r"hash +open .* held", output)


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--outcome", "success"], ["90bc-0002", "7f3a-0001"]),
        (["--outcome", "abandoned"], ["pseudonym"]),
        (["--outcome", "abandoned", "--outcome", "success", "--limit", "2"], ["pseudonym", "90bc-0002"]),
        (["--tool", "wire_transfer"], ["costly"]),
        (["--tool", "create_*", "--agent", "refund-agent"], ["90bc-0002", "7f3a-0001"]),
        (["--policy", "refunds", "--tool", "wire_transfer"], []),
        (["--approver", "u-17"], ["90bc-0002", "7f3a-0001"]),
        (["--tenant", "shop"], ["committed", "hash", "pseudonym"]),
        (["--effects", "unapproved"], ["costly"]),
        (["--effects", "approved"], ["90bc-0002", "7f3a-0001"]),
        (["--at-least", "12.5", "--currency", "USD"], ["costly"]),
        (["--at-most", "12.4"], []),
        (["--by", "spend"], ["costly"]),
        (["--mark", "held"], ["hash"]),
        (["--since", "1h"], []),
        (["--until", "1970-01-01T00:00Z"], ["committed", "hash", "pseudonym"]),
        (["--scan", "--tool", "wire_transfer"], ["costly"]),
    ],
)
def test_options_narrow_the_list(arguments, names):
    assert found(*arguments) == names


@pytest.mark.usefixtures("directory")
def test_pages_follow_each_other_while_the_ledger_grows(directory, builders):
    first = json.loads(run("--json", "--limit", "4"))
    with Ledger(directory) as ledger:
        ledger.append_entries(builders.approved_refund("later").entries)
    second = json.loads(run("--json", "--limit", "4", "--after", first["cursor"]))
    names = [each["run"] for page in (first, second) for each in page["runs"]]
    assert names == ["committed", "hash", "pseudonym", "costly", "90bc-0002", "7f3a-0001"]
    assert second["cursor"] is None
    assert f"--after {first['cursor']}" not in run("--limit", "7")
    assert re.search(r"There are more: the same with --after \d+-\d+", run("--limit", "6"))


@pytest.mark.usefixtures("directory")
def test_json_says_what_a_program_needs():
    (costly,) = json.loads(run("--json", "--tool", "wire_transfer"))["runs"]
    assert costly["spend"] == {"USD": 12.5}
    assert (costly["outcome"], costly["entries"], costly["effects"], costly["approvals"]) == ("open", 1, 1, 0)
    assert (costly["first_index"], costly["marks"]) == (22, [])


@pytest.mark.usefixtures("directory")
def test_whoever_holds_the_tenant_key_finds_what_stands_in_the_place_of_an_approver(monkeypatch):
    assert found("--approver", ADA) == []
    assert found("--approver", "[EMAIL:*") == ["pseudonym"]
    monkeypatch.setenv("RUNRECORD_KEY", (b"k" * 32).hex())
    assert found("--approver", ADA) == ["committed", "hash", "pseudonym"]
    assert found("--approver", "u-17", "--approver", ADA) == [
        "committed",
        "hash",
        "pseudonym",
        "90bc-0002",
        "7f3a-0001",
    ]
    assert found("--approver", "bob@example.com") == []
    monkeypatch.setenv("RUNRECORD_KEY", (b"x" * 32).hex())
    assert found("--approver", ADA) == []


@pytest.mark.usefixtures("directory")
def test_without_a_match_it_says_what_there_is():
    output = run("--tool", "wire_tranfer", "--outcome", "success")
    assert "No run is like this. There is no tool 'wire_tranfer'; there is wire_transfer." in output
    assert run("--since", "1h").strip() == "No run is like this."


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--by", "name"], 4, "--by 'name' is none of newest and spend"),
        (["--effects", "some"], 4, "--effects 'some' is none of any, approved, unapproved, none"),
        (["--mark", "lost"], 4, "--mark 'lost' is none of erased, held, pruned"),
        (["--since", "soon"], 4, "--since 'soon' is neither a duration nor a time"),
        (["--at-least", "nan"], 4, "--at-least is not an amount"),
        (["--after", "x"], 4, "'x' is no cursor"),
        (["--after", "999-3"], 1, "the cursor is of a ledger of 999 entries"),
        (["--ledger", "nowhere"], 1, "there is no ledger"),
    ],
)
def test_what_it_can_not_do_it_says(arguments, code, words):
    assert words in run(*arguments, code=code)
