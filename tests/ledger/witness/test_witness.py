# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A witness answers as C2SP tlog-witness says, and never cosigns two histories, whatever is sent, in whatever order."""

from __future__ import annotations

import random
import sqlite3
import stat
import threading
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.errors import LedgerError, MalformedProof
from runrecord.ledger.note import Note, NoteSigner, NoteVerifier
from runrecord.ledger.tlog import EMPTY_ROOT
from runrecord.ledger.witness import Witness, WitnessState
from runrecord.ledger.witness.protocol import AddCheckpoint


def request(log, old, new, *, hashes=None, note=None):
    hashes = tuple(log.prove(old, new)) if hashes is None and old else (hashes or ())
    return AddCheckpoint(old, hashes, note or log.checkpoint(new).note).encode()


def cosigned(answer, log, size, key):
    """Return the time of a good answer."""
    assert (answer.status, answer.content_type) == (200, "text/plain; charset=utf-8"), answer
    text = log.checkpoint(size).body()
    note = Note.parse(text + b"\n" + answer.body)
    assert note.verified_by([NoteVerifier(key)])
    return int.from_bytes(note.signatures[0].value[:8], "big")


def test_a_log_that_grows_is_cosigned_each_time(at, log):
    sizes = [0, 0, 1, 2, 5, 8, 255, 256, 257, 300, 300]
    for old, new in zip([0, *sizes], sizes, strict=False):
        at.clock.now += 1
        answer = at.witness.add_checkpoint(request(log, old, new))
        assert cosigned(answer, log, new, at.witness.signer.vkey) == int(at.clock.now)
        served = at.witness.checkpoint(sha256(log.origin.encode()).hexdigest())
        assert served.status == 200
        both = [log.signer.verifier, NoteVerifier(at.witness.signer.vkey)]
        assert len(Note.parse(served.body).verified_by(both)) == 2
        assert Checkpoint.parse(served.body).size == new


def test_it_says_where_it_is(at, log):
    at.witness.add_checkpoint(request(log, 0, 7))
    for old in (0, 3, 8):
        answer = at.witness.add_checkpoint(request(log, old, 9))
        assert (answer.status, answer.body, answer.content_type) == (409, b"7\n", "text/x.tlog.size")


def test_another_history_is_refused_and_kept(at, log, fork):
    at.witness.add_checkpoint(request(log, 0, 7))
    for body in (
        request(fork, 7, 7, hashes=()),
        request(fork, 7, 9),
        request(log, 7, 9, hashes=()),
        request(log, 7, 9, hashes=tuple(log.prove(6, 9))),
        request(fork, 7, 9, hashes=tuple(log.prove(7, 9))),
    ):
        assert at.witness.add_checkpoint(body).status == 422
    assert at.witness.add_checkpoint(request(fork, 3, 7)).status == 409  # kept as well: two roots at one size
    kept = at.state.evidence()
    assert len(kept) == 6
    assert {origin for origin, *_ in kept} == {log.origin}
    assert at.state.seen(log.origin).root == log.checkpoint(7).root
    cosigned(at.witness.add_checkpoint(request(log, 7, 9)), log, 9, at.witness.signer.vkey)


def test_an_empty_log_has_the_empty_root_and_no_proof(at, log):
    wrong = Checkpoint(log.origin, 0, b"\1" * 32).sign([log.signer]).note
    assert at.witness.add_checkpoint(request(log, 0, 0, note=wrong)).status == 422
    assert at.witness.add_checkpoint(request(log, 0, 3, hashes=(EMPTY_ROOT,))).status == 422
    assert at.state.seen(log.origin) is None


def test_who_signed_decides(at, log):
    stranger = NoteSigner("other.example/log", b"S" * 32)
    same_name = NoteSigner(log.origin, b"S" * 32)
    unknown = Checkpoint("other.example/log", 3, b"r" * 32).sign([stranger]).note
    assert at.witness.add_checkpoint(request(log, 0, 3, note=unknown)).status == 404
    for note in (
        log.checkpoint(3, same_name).note,
        log.checkpoint(3).note.replace(b"\n3\n", b"\n4\n"),
    ):
        assert at.witness.add_checkpoint(request(log, 0, 3, note=note)).status == 403
    many = log.checkpoint(3, same_name, log.signer, stranger).note
    assert at.witness.add_checkpoint(request(log, 0, 3, note=many)).status == 200
    served = at.witness.checkpoint(sha256(log.origin.encode()).hexdigest()).body
    assert [line.key_hash for line in Note.parse(served).signatures] == [
        log.signer.key_hash,
        at.witness.signer.key_hash,
    ]


def test_keys_of_a_log_that_is_rotated_are_one_log(at, log):
    new = NoteSigner(log.origin, b"N" * 32)
    witness = Witness(at.state, [log.signer.verifier, new.verifier])
    assert witness.add_checkpoint(request(log, 0, 3)).status == 200
    assert (
        witness.add_checkpoint(request(log, 3, 5, note=log.checkpoint(5, log.signer, new).note)).status == 200
    )
    assert witness.add_checkpoint(request(log, 5, 6, note=log.checkpoint(6, new).note)).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"old 0\n",
        b"old 00\n\nx",
        b"old -1\n\nx",
        b"old 9999999999999999999\n\nx",
        b"Old 0\n\nx",
        b"old 0\nAAAA\n\nx",
        b"old 0\n\nno note",
        b"\xff\xfe\n\n",
    ],
)
def test_what_is_no_request_is_400(at, body):
    assert at.witness.add_checkpoint(body).status == 400


def test_an_old_size_above_the_new_one_is_400(at, log):
    assert at.witness.add_checkpoint(request(log, 4, 3, hashes=())).status == 400


def test_too_many_proof_lines_are_400(at, log):
    assert at.witness.add_checkpoint(request(log, 1, 3, hashes=(b"h" * 32,) * 64)).status == 400
    assert at.witness.add_checkpoint(request(log, 1, 3, hashes=(b"h" * 32,) * 63)).status == 409


@given(st.binary(max_size=300))
def test_requests_are_read_in_one_form_only(body):
    try:
        parsed = AddCheckpoint.parse(body)
    except MalformedProof:
        return
    assert parsed.encode() == body


@given(
    st.integers(0, (1 << 63) - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.binary(max_size=80),
)
def test_requests_come_back(old, hashes, checkpoint):
    wanted = AddCheckpoint(old, tuple(hashes), checkpoint)
    assert AddCheckpoint.parse(wanted.encode()) == wanted


def test_no_bit_of_a_request_can_change(at, log):
    at.witness.add_checkpoint(request(log, 0, 3))
    body = request(log, 3, 5)
    for index in range(len(body)):
        broken = body[:index] + bytes([body[index] ^ 1]) + body[index + 1 :]
        assert at.witness.add_checkpoint(broken).status in {400, 403, 404, 409, 422}, index
    assert at.state.seen(log.origin).size == 3


def test_two_at_once_never_go_back(at, log):
    """The race of the specification: a smaller tree must not replace a larger one."""
    at.witness.add_checkpoint(request(log, 0, 1))
    answers = []
    barrier = threading.Barrier(8)

    def send(size):
        barrier.wait()
        answers.append((size, at.witness.add_checkpoint(request(log, 1, size)).status))

    threads = [
        threading.Thread(target=send, args=(size,)) for size in random.Random(1).sample(range(2, 60), 8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = [size for size, status in answers if status == 200]
    assert {status for size, status in answers if size != winner} == {409}
    assert at.state.seen(log.origin).size == winner


def test_two_processes_share_one_memory(at, log):
    other = Witness(WitnessState(at.directory), [log.signer.verifier])
    assert at.witness.add_checkpoint(request(log, 0, 5)).status == 200
    assert other.add_checkpoint(request(log, 0, 6)).body == b"5\n"
    assert other.add_checkpoint(request(log, 5, 6)).status == 200
    assert at.witness.add_checkpoint(request(log, 5, 7)).body == b"6\n"
    assert other.signer.vkey == at.witness.signer.vkey


def test_a_clock_that_goes_back_dates_nothing_earlier(at, log):
    key = at.witness.signer.vkey
    first = cosigned(at.witness.add_checkpoint(request(log, 0, 5)), log, 5, key)
    at.clock.now -= 3600
    assert cosigned(at.witness.add_checkpoint(request(log, 5, 6)), log, 6, key) == first


def test_no_memory_no_witness(at, tmp_path):
    assert stat.S_IMODE((at.directory / "witness.sqlite").stat().st_mode) == 0o600
    with pytest.raises(LedgerError, match="there is a witness"):
        WitnessState.create(at.directory, "witness.example/w2")
    with pytest.raises(LedgerError, match="there is no witness") as error:
        WitnessState(tmp_path / "elsewhere")
    assert "new name" in error.value.next_step
    (tmp_path / "witness.sqlite").write_bytes(b"not a database, and longer than its header" * 99)
    with pytest.raises(LedgerError, match="not the memory of a witness"):
        WitnessState(tmp_path)
    assert at.witness.signer.private_text() not in repr(at.state)


def test_a_memory_that_does_not_answer_cosigns_nothing(at, log):
    with sqlite3.connect(at.directory / "witness.sqlite") as database:
        database.execute("DROP TABLE log")
    assert at.witness.add_checkpoint(request(log, 0, 5)).status == 503
    assert at.witness.checkpoint(sha256(log.origin.encode()).hexdigest()).status == 503
