# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Trust policies (C2SP tlog-policy): the example of the specification, what is refused, and who makes a quorum."""

from __future__ import annotations

import base64
import contextlib
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.cosignature import join, ml_dsa_44_message
from runrecord.ledger.errors import LedgerError, MalformedPolicy
from runrecord.ledger.note import CosignatureSigner, Note, NoteSigner, NoteVerifier, Signature
from runrecord.ledger.tlog_policy import TlogPolicy

LOG = NoteSigner("log.example/agents", b"L" * 32)
WITNESSES = {
    name: CosignatureSigner(f"{name}.example", bytes([n]) * 32)
    for n, name in enumerate(("X1", "X2", "X3", "Y1", "Y2", "Y3"))
}
KEYS = {name: signer.vkey for name, signer in WITNESSES.items()}
EXAMPLE = f"""
log {LOG.vkey} https://log.example/

# as in the specification
witness X1 {KEYS["X1"]} https://x1.example/sub\t
witness X2 {KEYS["X2"]}
witness X3 {KEYS["X3"]}
group X-witnesses 2 X1 X2 X3

\twitness Y1 {KEYS["Y1"]}
witness Y2 {KEYS["Y2"]}
witness\tY3\t{KEYS["Y3"]}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def test_the_example_of_the_specification():
    policy = TlogPolicy.parse(EXAMPLE.encode())
    assert [(log.verifier.vkey, log.url) for log in policy.logs] == [(LOG.vkey, "https://log.example/")]
    assert list(policy.witnesses) == list(KEYS)
    assert policy.witnesses["X1"].url == "https://x1.example/sub"


@given(st.sets(st.sampled_from(sorted(KEYS))))
def test_who_makes_the_quorum(names):
    x, y = (len([name for name in names if name.startswith(each)]) for each in "XY")
    assert TlogPolicy.parse(EXAMPLE.encode()).is_met_by(names) is (x >= 2 and y >= 1)


def checkpoint(*signers):
    return Checkpoint(LOG.name, 7, b"r" * 32).sign([LOG, *signers]).note


def test_only_right_cosignatures_count():
    policy = TlogPolicy.parse(EXAMPLE.encode())
    good = policy.witnessed(checkpoint(WITNESSES["X1"], WITNESSES["X3"], WITNESSES["Y2"]))
    assert (list(good.times), good.enough) == (["X1", "X3", "Y2"], True)
    assert not policy.witnessed(checkpoint(WITNESSES["X1"], WITNESSES["Y2"])).enough
    note = Note.parse(checkpoint(WITNESSES["X1"]))
    log_line, line = note.signatures
    for value in (
        line.value[:8] + bytes(64),
        bytes(8) + line.value[8:],  # no time
        (1).to_bytes(8, "big") + line.value[8:],  # another time
        line.value[:7],
    ):
        forged = Note(note.text, (log_line, Signature(line.name, line.key_hash, value))).encode()
        assert policy.witnessed(forged).times == {}
    moved = Note.parse(Checkpoint(LOG.name, 8, b"r" * 32).sign([LOG]).note)
    assert policy.witnessed(Note(moved.text, (*moved.signatures, line)).encode()).times == {}


def test_the_later_of_two_lines_of_one_witness_counts():
    policy = TlogPolicy.parse(EXAMPLE.encode())
    note = Note.parse(checkpoint())
    lines = (*note.signatures, *(WITNESSES["X1"].sign_at(when, note.text) for when in (500, 900, 700)))
    assert policy.witnessed(Note(note.text, lines).encode()).times == {"X1": 900}


def test_no_witness_is_wanted():
    policy = TlogPolicy.parse(b"quorum none")
    assert policy.witnessed(checkpoint()).enough


def test_octets_that_are_not_ascii_are_opaque():
    name = b"z\xff\xc3\xa9"
    policy = TlogPolicy.parse(b"witness %s %s\nquorum %s\n" % (name, KEYS["X1"].encode(), name))
    assert policy.is_met_by(policy.witnesses)


X1 = f"witness X1 {KEYS['X1']}\n"
X2 = f"witness X2 {KEYS['X2']}\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no line 'quorum NAME'"),
        ("quorum none\nquorum none\n", "line 2 of the policy: it is the second line"),
        ("quorum X1\n", "'X1' is no witness or group of a line before"),
        (f"quorum X1\n{X1}", "'X1' is no witness"),
        (f"{X1}{X1}quorum X1\n", "line 2 of the policy: the name 'X1' is taken"),
        (f"{X1}witness X9 {KEYS['X1']}\nquorum X1\n", "there already"),
        (f"witness none {KEYS['X1']}\nquorum none\n", "the name 'none' is taken"),
        (f"log {KEYS['X1']}\nquorum none\n", "not of the sort that a log has"),
        (f"witness L {LOG.vkey}\nquorum none\n", "not of the sort that a witness has"),
        (f"log {LOG.vkey}\nlog {LOG.vkey}\nquorum none\n", "there already"),
        (f"{X1}group g 0 X1\nquorum g\n", "'0' is no threshold for 1 members"),
        (f"{X1}group g 2 X1\nquorum g\n", "'2' is no threshold"),
        (f"{X1}group g 01 X1\nquorum g\n", "'01' is no threshold"),
        (f"{X1}group g some X1\nquorum g\n", "'some' is no threshold"),
        (f"{X1}group g all\nquorum g\n", "does not have 3 words"),
        (f"{X1}group g all none\nquorum g\n", "'none' is no witness"),
        (f"{X1}group g all g\nquorum g\n", "'g' is no witness"),
        (f"{X1}{X2}group g all X1 X1\nquorum g\n", "'X1' is in a group already"),
        (f"{X1}{X2}group g all X1\ngroup h all X1 X2\nquorum g\n", "'X1' is in a group already"),
        (f"{X1}group X1 all X1\nquorum X1\n", "the name 'X1' is taken"),
        ("log\nquorum none\n", "does not have 1 words"),
        ("log x+y+z\nquorum none\n", "line 1 of the policy: not a verifier key"),
        ("logs x\nquorum none\n", "'logs' is no kind of line"),
        ("# \x01\nquorum none\n", "control character"),
        ("quorum none\r\n", "control character"),
        ("quorum none\n" + "#" * (1 << 20), "over the limit"),
    ],
)
def test_what_is_no_policy_is_refused(text, why):
    with pytest.raises(MalformedPolicy) as error:
        TlogPolicy.parse(text.encode())
    assert why in error.value.message


@given(st.binary(max_size=200) | st.text("log witness group quorum none all any 12 X#+\n\t ").map(str.encode))
def test_nothing_else_is_raised(data):
    with contextlib.suppress(LedgerError):
        TlogPolicy.parse(data)


def test_a_witness_with_a_key_of_ml_dsa_44():
    mldsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.mldsa")
    key = mldsa.MLDSA44PrivateKey.generate()
    public = b"\x06" + key.public_key().public_bytes_raw()
    name = "pq.example/w"
    identifier = sha256(name.encode() + b"\n" + public).hexdigest()[:8]
    vkey = f"{name}+{identifier}+{base64.b64encode(public).decode()}"
    policy = TlogPolicy.parse(f"witness pq {vkey}\nquorum pq\n".encode())
    note = Note.parse(checkpoint())
    # The message by the letter of the specification, not by our function.
    message = (
        b"subtree/v1\n\0" + b"\x0c" + name.encode() + (1234).to_bytes(8, "big") + b"\x12" + LOG.name.encode()
    )
    message += bytes(8) + (7).to_bytes(8, "big") + b"r" * 32
    assert ml_dsa_44_message(name, 1234, note.text) == message
    line = Signature(name, NoteVerifier(vkey).key_hash, join(1234, key.sign(message)))
    assert policy.witnessed(Note(note.text, (*note.signatures, line)).encode()).times == {"pq": 1234}
    other = Signature(name, NoteVerifier(vkey).key_hash, join(1235, key.sign(message)))
    assert policy.witnessed(Note(note.text, (*note.signatures, other)).encode()).times == {}
