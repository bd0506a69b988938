# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord show` over a ledger on disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from runrecord.cli.show import show
from runrecord.ledger import Ledger

app = typer.Typer()
app.command()(show)


@pytest.fixture
def directory(tmp_path, builders, monkeypatch) -> Path:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("RUNRECORD_LEDGER", raising=False)
    monkeypatch.chdir(tmp_path)
    with Ledger(tmp_path / "ledger", origin="example.com/test") as ledger:
        ledger.append_entries(builders.approved_refund("7f3a-0001").entries)
        ledger.append_entries(builders.approved_refund("90bc-0002").entries)
    return tmp_path / "ledger"


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.usefixtures("directory")
def test_without_a_run_the_runs_are_listed():
    output = run()
    assert "7f3a-0001" in output
    assert "90bc-0002" in output
    assert "refund-agent" in output
    assert {summary["run"] for summary in json.loads(run("--json"))} == {"7f3a-0001", "90bc-0002"}
    assert len(json.loads(run("--json", "--limit", "1"))) == 1


@pytest.mark.usefixtures("directory")
def test_a_run_reads_as_a_tree():
    output = run("7f3a")
    for words in (
        "Run 7f3a-0001  refund-agent  success  record COMPLETE",
        "Segment 0",
        "then waited",
        "Step 0 plan refund",
        "tool lookup_order [call_1]: read on payments",
        "policy on call_2: require_approval by refunds version 14, rule over_50_usd",
        "approval of create_refund: approved by human u-17 at ",
        "after 42.5 s",
        "tool create_refund [call_2]: pay on payments, committed, reversible",
        "An emitter that never emitted is invisible",
    ):
        assert words in output


@pytest.mark.usefixtures("directory")
def test_a_step_answers_the_four_questions():
    output = run("7f3a", "--step", "1")
    for words in (
        "What happened",
        "What it wrote",
        "create_refund [call_2]: pay on payments, committed, reversible",
        "Who allowed it",
        "approved by human u-17",
        "what was approved is what ran",
        "Can it be undone?",
        "yes, it is declared reversible",
    ):
        assert words in output
    assert "nothing: every call at this step is declared to change nothing" in run("7f3a", "--step", "0")


@pytest.mark.usefixtures("directory")
def test_json_holds_every_entry_with_its_index():
    data = json.loads(run("7f3a", "--json"))
    assert data["completeness"]["verdict"] == "COMPLETE"
    assert sorted(record["index"] for record in data["records"]) == list(range(11))
    step = json.loads(run("7f3a", "--step", "1", "--json"))
    assert {record["attributes"]["runrecord.step.index"]["intValue"] for record in step["records"]} == {"1"}


@pytest.mark.usefixtures("directory")
def test_an_unknown_run_or_step_gets_the_nearest():
    output = run("7f3b-0001", code=1)
    assert "no run '7f3b-0001'" in output
    assert "7f3a-0001" in output
    assert "its steps are 0, 1" in run("7f3a", "--step", "9", code=1)
    assert "--step needs a run" in run("--step", "1", code=4)


def test_a_ledger_is_named_by_option_or_environment(directory, monkeypatch, tmp_path):
    monkeypatch.chdir("/")
    assert "there is no ledger" in run(code=1)
    assert "7f3a-0001" in run("--ledger", str(directory))
    monkeypatch.setenv("RUNRECORD_LEDGER", str(directory))
    assert "7f3a-0001" in run()
    with Ledger(tmp_path / "empty", origin="example.com/empty"):
        pass
    assert "holds no run yet" in run("--ledger", str(tmp_path / "empty"))


def test_steps_in_which_nothing_is_governed_share_a_line(tmp_path, builders, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    b = builders.RunBuilder("r1")
    b.begin()
    for index in range(3):
        b.step(index, "plan")
    b.tool("c1", step=3)
    b.step(3)
    b.add("step", "agent_step act", step=4, status="error", runrecord__step__kind="act")
    b.step(5)
    b.close()
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        ledger.append_entries(b.entries)
    output = run("r1", "--ledger", str(tmp_path))
    assert "Steps 0 plan refund, 1 plan refund, 2 plan refund  #0 #1 #2" in output
    assert "Step 3 act refund" in output
    assert "failed  #5" in output
    assert "Step 5 act refund" in output
    assert "nothing beyond the step itself" in run("r1", "--step", "0", "--ledger", str(tmp_path))


def test_hostile_text_reaches_no_terminal(tmp_path, builders, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    b = builders.RunBuilder("evil")
    b.begin()
    b.tool("c1", "\x1b[31mred\x07[bold]x[/bold]\u202e")
    b.close()
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        ledger.append_entries(b.entries)
    output = run("evil", "--ledger", str(tmp_path))
    assert "[bold]x[/bold]" in output
    assert not set(output) & {"\x1b", "\x07", "\u202e"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "no policy decision and no approval is recorded for it"),
        ({"runrecord__side_effect__reversible": False}, "NO, it is declared irreversible"),
        ({"runrecord__side_effect__reversible": None}, "not stated"),
        ({"runrecord__side_effect__ref": "r-77"}, "reference r-77"),
    ],
)
def test_a_step_says_what_nobody_allowed_and_what_can_not_be_undone(
    tmp_path, builders, monkeypatch, change, words
):
    monkeypatch.setenv("COLUMNS", "160")
    b = builders.RunBuilder("r1")
    b.begin()
    b.step(0)
    b.tool("c1", step=0, **change)
    b.add(
        "compensation",
        "compensate x",
        runrecord__compensation__outcome="succeeded",
        runrecord__compensation__subject__id="c1",
    )
    b.add("conflict", "execute_tool x", step=0)
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        ledger.append_entries(b.entries)
    output = run("r1", "--step", "0", "--ledger", str(tmp_path))
    assert words in output
    assert "it was rolled back: succeeded" in output
    tree = run("r1", "--ledger", str(tmp_path))
    assert "No segment was closed" in tree
    assert "CONFLICTS" in tree
    reasons = json.loads(run("r1", "--json", "--ledger", str(tmp_path)))["completeness"]["reasons"]
    assert "CONFLICTS" in {reason["verdict"] for reason in reasons}


def altered(directory: Path) -> Path:
    """Change what an entry says, as somebody with write access would."""
    (bundle,) = (directory / "tile" / "entries").rglob("22")
    bundle.write_bytes(bundle.read_bytes().replace(b'"success"', b'"failure"', 1))
    return bundle


def test_an_altered_entry_is_not_shown(directory):
    bundle = altered(directory)
    for arguments in ((), ("7f3a",), ("7f3a", "--step", "1"), ("--json",), ("7f3a", "--json")):
        output = run(*arguments, code=1)
        assert (
            f"error: {bundle.relative_to(directory.parent)} is damaged or was changed: entry 10 is not the one that the log signed"
            in output
        )
        assert "next: restore the ledger from a copy" in output
        assert "failure" not in output


def test_a_ledger_without_its_tree_lists_no_run(directory):
    shutil.rmtree(directory / "tile")
    for arguments in ((), ("7f3a",)):
        output = run(*arguments, code=1)
        assert "is missing, although the checkpoint of size 22 covers it" in output
        assert "7f3a-0001" not in output


def undeclared(builders, tmp_path, **tool) -> None:
    """A step whose one call was asked for, approved, and ran, with no word about what the tool does."""
    b = builders.RunBuilder("r1")
    b.begin()
    b.step(0)
    b.step(1)
    b.decision("c1", "require_approval", step=0)
    b.request("c1", step=0)
    b.answer("c1", step=0)
    target = dict.fromkeys(("target", "committed", "reversible"))
    silent = {f"runrecord__side_effect__{name}": value for name, value in target.items()}
    b.tool("c1", "send_mail", effect=None, step=0, **silent, **tool)
    b.close()
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        ledger.append_entries(b.entries)


def test_what_a_tool_does_not_declare_is_not_known_rather_than_nothing(tmp_path, builders):
    undeclared(builders, tmp_path)
    output = run("r1", "--step", "0", "--ledger", str(tmp_path))
    for words in (
        "send_mail [c1]: not known: send_mail does not declare its effect",
        "policy: require_approval by refunds version 14",
        "approval of create_refund: approved by human u-17",
        "what was approved is what ran",
        "send_mail [c1]: not known\n",
    ):
        assert words in output
    for words in ("nothing", "nobody had to"):
        assert words not in output
    for arguments in (("--step", "0"), ()):
        (call,) = json.loads(run("r1", "--json", "--ledger", str(tmp_path), *arguments))["calls"]
        assert (call["tool"], call["changes"], call["reversible"]) == ("send_mail", None, None)
        assert call["effect"] == "not known: send_mail does not declare its effect"
        assert len(call["decisions"]) == 1
        assert [approval["status"] for approval in call["approvals"]] == ["approved"]
    assert "nothing: no call is recorded at this step" in run("r1", "-s", "1", "--ledger", str(tmp_path))


@pytest.mark.parametrize(
    ("declared", "changes"),
    [
        ({"runrecord__tool__read_only": True}, False),
        ({"runrecord__tool__read_only": False}, None),
        ({"runrecord__tool__destructive": True}, True),
    ],
)
def test_a_hint_of_the_tool_is_a_declaration(tmp_path, builders, declared, changes):
    undeclared(builders, tmp_path, **declared)
    (call,) = json.loads(run("r1", "--json", "--ledger", str(tmp_path)))["calls"]
    assert call["changes"] is changes
    nothing = "nothing: every call at this step is declared to change nothing"
    assert (nothing in run("r1", "--step", "0", "--ledger", str(tmp_path))) is (changes is False)


def test_the_next_step_is_that_of_the_error_also_where_the_ledger_is_named(directory):
    checkpoint = directory / "checkpoint"
    lines = checkpoint.read_text().split("\n")
    checkpoint.write_text("\n".join([lines[0], "900", *lines[2:]]))
    output = run("--ledger", str(directory), code=1)
    assert f"{checkpoint} is not signed by the key of this ledger" in output
    assert "from a copy" in output
    assert "--ledger DIR" not in output
    checkpoint.unlink()
    output = run("--ledger", str(directory), code=1)
    assert "is missing, although it holds entries" in output
    assert "there is no ledger" not in output


@pytest.mark.usefixtures("directory")
def test_only_what_is_near_is_called_near():
    assert "the nearest are: 7f3a-0001" in run("7f3b-0001", code=1)
    output = run("zzzz", code=1)
    assert "the newest runs are: 90bc-0002, 7f3a-0001" in output
    assert "nearest" not in output


def test_a_scan_asks_no_index(tmp_path, builders):
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        ledger.append_entries(builders.approved_refund("7f3a-0001").entries)
    (tmp_path / ".state" / "index.sqlite").unlink()
    assert "record COMPLETE" in run("7f3a", "--scan", "--ledger", str(tmp_path))
