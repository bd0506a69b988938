# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the files of the context store hold of a run: while it waits what is needed to go on, afterwards ids and digests."""

from pathlib import Path
from typing import Any

import pytest

from runrecord.instrumentation import FileContextStore, StoredContext

MAIL = "ada@example.org"
KEYS = [("sdk", MAIL, "i-1"), ("sdk", MAIL, "i-2")]
ARGUMENTS = {"amount": 80}


@pytest.fixture
def recorder(telemetry: Any, tmp_path: Path) -> Any:
    return telemetry.recorder(store=FileContextStore(tmp_path / "contexts"))


@pytest.fixture
def files(tmp_path: Path) -> Any:
    def read() -> list[str]:
        return [path.read_text() for path in sorted((tmp_path / "contexts").iterdir())]

    return read


def suspended(recorder: Any) -> list[Any]:
    with recorder.run("refund-agent", conversation_id=MAIL) as run:
        with run.step():
            approvals = [
                run.request_approval(f"c{number}", tool="create_refund", arguments=ARGUMENTS, key=key)
                for number, key in enumerate(KEYS)
            ]
        run.suspend()
    return approvals


def test_the_conversation_is_not_stored_and_yet_known_where_the_run_goes_on(
    recorder: Any, files: Any, telemetry: Any
) -> None:
    (first, _) = suspended(recorder)
    assert len(files()) == 2
    assert MAIL not in "".join(files())
    recorder.resume(first.key).stop()
    names = [span.attributes["gen_ai.conversation.id"] for span in telemetry.named("invoke_agent")]
    assert names == [MAIL, MAIL]


def test_a_key_without_the_conversation_does_not_pass_for_one(recorder: Any, telemetry: Any) -> None:
    with recorder.run("refund-agent") as run:
        approval = run.request_approval("c", tool="t", arguments=ARGUMENTS)
        run.suspend()
    recorder.resume(approval.key).stop()
    assert "gen_ai.conversation.id" not in telemetry.named("invoke_agent")[1].attributes


def test_of_a_closed_run_ids_and_digests_are_left(recorder: Any, files: Any) -> None:
    approvals = suspended(recorder)
    assert all("refund-agent" in text and "create_refund" in text for text in files())
    with recorder.resume(KEYS[0]) as run:
        run.approval.denied()
        other = recorder.lookup(KEYS[1]).approval(approvals[1].approval_id)
        type(run.approval)(run, KEYS[1], other, replayed=True).approved()
    assert len(files()) == 2
    for text in files():
        stored = StoredContext.from_json(text)
        assert (stored.closed, stored.agent, stored.workflow) == (True, None, None)
        (approval,) = stored.approvals
        assert (approval.name, approval.decided) == (None, True)
        assert str(approval.digest).startswith("hmac-sha256:")
        for name in (MAIL, "refund-agent", "create_refund"):
            assert name not in text


def test_a_closed_run_is_still_not_recorded_twice(recorder: Any, telemetry: Any) -> None:
    suspended(recorder)
    with recorder.resume(KEYS[0]) as run:
        run.approval.approved()
    with recorder.resume(KEYS[0]) as run:  # the same checkpoint, once more
        again = run.request_approval("c0", tool="create_refund", arguments=ARGUMENTS, key=KEYS[0])
        assert (again.replayed, again.decided, again.stored.name) == (True, True, "create_refund")
        again.approved()
    assert len(telemetry.named("request_approval")) == 2
    assert len(telemetry.named("approval_decision")) == 1


def test_what_an_earlier_version_stored_is_reduced_too(recorder: Any, files: Any, tmp_path: Path) -> None:
    suspended(recorder)
    for path in (tmp_path / "contexts").iterdir():
        path.write_text(path.read_text().replace('"closed"', f'"conversation_id":"{MAIL}","closed"'))
    for key in KEYS:
        recorder.resume(key, conversation_id=MAIL).stop()
    assert MAIL not in "".join(files())
