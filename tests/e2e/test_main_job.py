# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The main job, whole: three runs in their own processes, a gateway that is killed in the middle, and the evidence afterwards."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from runrecord.demo import shop
from runrecord.demo.job import STORIES, Job
from runrecord.demo.processes import script
from runrecord.ledger import Ledger, RunView
from runrecord.semconv import attributes as names

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def played(job: Job) -> Job:
    """All three stories told, with a SIGKILL of the gateway while run A waits and its second process starts."""
    a, b, c = STORIES
    assert job.start_run(a) == "waits for a person"
    job.gateway.kill()
    restart = threading.Thread(target=job.start_gateway)
    restart.start()
    assert job.resume_run(a) == "Your request has been dealt with."
    restart.join()
    assert job.start_run(b) == "Your request has been dealt with."
    assert job.start_run(c) == "waits for a person"
    job.gateway.kill()
    job.start_gateway()
    assert job.resume_run(c) == "Your request has been dealt with."
    job.wait_until_sealed(len(STORIES))
    return job


def runrecord(job: Job, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**job.environment(), "COLUMNS": "160"}
    return subprocess.run(
        [script("runrecord"), *arguments], env=environment, capture_output=True, text=True, check=False
    )


def forwarded_spans(job: Job) -> list[Span]:
    spans = {}
    for path in sorted((job.directory / "forwarded").glob("*.traces.pb")):
        request = ExportTraceServiceRequest.FromString(path.read_bytes())
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                spans |= {span.span_id: span for span in scope.spans}
    return list(spans.values())


def attributes(span: Span) -> dict[str, str | int | bool | float]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
        for pair in span.attributes
    }


def redacted_kinds(span: Span) -> list[str]:
    found = [pair.value.array_value for pair in span.attributes if pair.key == names.REDACTION_KINDS]
    return [value.string_value for array in found for value in array.values]


def views_of(job: Job) -> list[RunView]:
    """The runs in the order of the stories."""
    with Ledger(job.ledger_directory, read_only=True) as ledger:
        return [ledger.run(run.run) for run in sorted(ledger.runs(), key=lambda run: run.first_index)]


def test_the_ledger_tells_the_three_stories(played: Job) -> None:
    views = views_of(played)
    assert len(views) == len(STORIES)
    approved, denied_by_policy, denied_by_person = views

    assert [(call.tool, call.effect) for call in approved.calls] == [
        ("lookup_customer", "read"),
        ("list_invoices", "read"),
        ("create_refund", "pay"),
    ]
    (approval,) = approved.approvals
    answer = approval.answers[-1].entry
    assert approval.status == "approved"
    assert (answer.text(names.APPROVAL_ACTOR_TYPE), answer.text(names.APPROVAL_ACTOR_REF)) == (
        "human",
        "u-17",
    )
    refund = approved.calls[-1]
    assert refund.took_effect
    assert refund.entry.flag(names.SIDE_EFFECT_COMMITTED) is True
    assert refund.entry.flag(names.SIDE_EFFECT_REVERSIBLE) is False
    assert refund.approvals == (approval,)
    assert approval.digests == {refund.digest}
    assert len(approved.segments) == 2
    assert approved.outcome == "success"

    assert [call.tool for call in denied_by_policy.calls] == ["lookup_customer", "list_invoices"]
    outcomes = [
        (d.entry.text(names.POLICY_ID), d.entry.text(names.DECISION_OUTCOME))
        for d in denied_by_policy.decisions
    ]
    assert ("refunds", "deny") in outcomes
    assert not denied_by_policy.approvals

    assert (denied_by_policy.outcome, denied_by_person.outcome) == ("denied", "denied")
    assert [call.tool for call in denied_by_person.calls] == ["lookup_customer", "list_invoices"]
    assert [approval.status for approval in denied_by_person.approvals] == ["denied"]
    assert all(view.completeness.verdict == "COMPLETE" for view in views), [
        view.completeness for view in views
    ]


def test_the_only_payment_is_the_approved_one(played: Job) -> None:
    payments = (played.directory / "payments.jsonl").read_text().splitlines()
    assert [json.loads(line)["invoice_id"] for line in payments] == ["inv-7001"]


def test_each_run_is_one_trace_at_the_back_end_and_the_decision_links_to_the_request(played: Job) -> None:
    spans = forwarded_spans(played)
    by_run: dict[object, set[bytes]] = {}
    for span in spans:
        run = attributes(span).get("runrecord.run.id")
        if run:
            by_run.setdefault(run, set()).add(span.trace_id)
    assert len(by_run) == len(STORIES)
    assert all(len(traces) == 1 for traces in by_run.values())
    requests = {span.span_id for span in spans if span.name.startswith("request_approval")}
    decisions = [span for span in spans if span.name.startswith("approval_decision")]
    assert len(requests) == len(decisions) == 2
    assert all(any(link.span_id in requests for link in span.links) for span in decisions)


def test_everything_governed_that_was_forwarded_is_in_the_ledger(played: Job) -> None:
    governed = {
        span.span_id.hex() for span in forwarded_spans(played) if "runrecord.run.id" in attributes(span)
    }
    sealed = {record.entry.span_id for view in views_of(played) for record in view.records}
    assert governed
    assert governed <= sealed


def test_no_planted_secret_is_in_any_byte_that_was_forwarded_stored_or_logged(played: Job) -> None:
    secrets: list[str] = []
    for story in STORIES:
        customer = shop.customer(story.customer)
        secrets += [customer.email, customer.card, customer.card.replace(" ", "")]
    secrets += [
        word.rstrip(".") for word in shop.customer("c-100").note.split() if word.startswith("sk_live_")
    ]
    assert len(secrets) == 10
    needles = [secret.encode() for secret in secrets]
    own = {
        "checkpoints.sqlite",
        "checkpoints.sqlite-wal",
        "checkpoints.sqlite-shm",
        "payments.jsonl",
    }  # the agent's, not ours
    files = [path for path in played.directory.rglob("*") if path.is_file() and path.name not in own]
    assert {path.parts[-2] for path in files} >= {"forwarded", "logs"}
    found = {(path.name, needle) for path in files for needle in needles if needle in path.read_bytes()}
    assert not found
    # The agent's own store shows that the secrets were really there to find.
    assert any(needle in (played.directory / "checkpoints.sqlite").read_bytes() for needle in needles)
    kinds = {kind for span in forwarded_spans(played) for kind in redacted_kinds(span)}
    assert {"email", "card", "stripe_key"} <= kinds


def test_everything_that_was_forwarded_keeps_the_conventions(played: Job) -> None:
    done = runrecord(played, "check", str(played.directory / "forwarded"), "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["governed"] >= 20


def test_show_answers_what_happened_at_the_step_and_what_it_wrote(played: Job) -> None:
    view = views_of(played)[0]
    step = view.calls[-1].entry.integer(names.STEP_INDEX)
    done = runrecord(played, "show", view.run, "--step", str(step))
    assert done.returncode == 0, done.stderr
    for words in ("create_refund", "pay", "payments", "u-17", "approved", "committed", "NOT reversible"):
        assert words in done.stdout


@pytest.fixture
def bundle(played: Job, tmp_path: Path) -> tuple[Path, Path]:
    view = views_of(played)[0]
    path, trust = tmp_path / "run.auditbundle.zip", tmp_path / "trust.txt"
    done = runrecord(played, "bundle", view.run, "--output", str(path), "--trust-out", str(trust))
    assert done.returncode == 0, done.stderr
    return path, trust


def test_verify_accepts_the_bundle_and_audit_finds_nothing(played: Job, bundle: tuple[Path, Path]) -> None:
    path, trust = bundle
    done = runrecord(played, "verify", str(path), "--trust", str(trust))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "COMPLETE" in done.stdout
    audit = runrecord(played, "audit", "--all")
    assert audit.returncode == 0, audit.stdout


@pytest.mark.parametrize("place", [0.05, 0.35, 0.65, 0.95])
def test_verify_rejects_a_bundle_with_a_flipped_bit(
    played: Job, bundle: tuple[Path, Path], tmp_path: Path, place: float
) -> None:
    path, trust = bundle
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    changed = tmp_path / "changed.auditbundle.zip"
    changed.write_bytes(data)
    done = runrecord(played, "verify", str(changed), "--trust", str(trust))
    assert done.returncode == 1, done.stdout + done.stderr
