# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints and offline proofs: golden bytes, canonical form only, and what they prove."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.ledger import tlog
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.errors import (
    MalformedCheckpoint,
    MalformedError,
    MalformedProof,
    OutOfRange,
    ProofError,
    SignatureError,
    VerificationError,
)
from runrecord.ledger.note import NoteSigner
from runrecord.ledger.tlog_proof import TlogProof

LEAVES = [b"first", b"second", b"third"]
HASHES = [tlog.leaf_hash(each) for each in LEAVES]
ROOT = tlog.root_of_hashes(HASHES)
GOLDEN_CHECKPOINT = """\
example.com/agents
3
w2UeVBcUxT1kjsx7rsp/4sNu9PplvM4ksdcShkN95WY=

\u2014 example.com/agents 42CPrTkFqZ2wDW6DMewrCXuVarD5gL67a1cURo9KCFodi3ZwY8PfVOpj6NLj8J1KKafm+1y0mfrhwme+0SaHDx5s+gA=
"""
GOLDEN_PROOF = f"""\
c2sp.org/tlog-proof@v1
index 1
oa8DAjHKL9IOzzDFKUuvj2kyHQm7FqxTiFzNF6OFKA0=
ZW0+j1RCOM324y1kD1G6CRSVmxTt16UtC4uZq0yKxsY=

{GOLDEN_CHECKPOINT}"""


@pytest.fixture
def checkpoint(signer):
    return Checkpoint(signer.name, 3, ROOT).sign([signer])


def read_node(level, index):
    return HASHES[index] if level == 0 else tlog.node_hash(HASHES[0], HASHES[1])


def test_a_checkpoint_is_the_three_lines_of_the_specification(checkpoint, signer):
    assert checkpoint.note.decode() == GOLDEN_CHECKPOINT
    assert Checkpoint.open(checkpoint.note, [signer.verifier]) == checkpoint
    assert Checkpoint.parse(checkpoint.note) == checkpoint


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_body_reads_back(size, root):
    body = Checkpoint("o.example", size, root).body()
    assert Checkpoint.parse_body(body) == Checkpoint("o.example", size, root)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"o\n",
        b"o\n1\n",
        b"o\n01\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        b"o\n-1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        b"o\n+1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "o\n\u0661\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n".encode(),
        b"o\n1 \nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        b"o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n",  # bits that mean nothing
        b"o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
        b"o\n1\nAAAA\n",
        b"\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        b"o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        b"o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n",
        b"\xff\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    ],
)
def test_no_other_form_is_a_checkpoint(body):
    with pytest.raises(MalformedCheckpoint):
        Checkpoint.parse_body(body)


def test_extension_lines_are_kept(signer):
    made = Checkpoint(signer.name, 1, bytes(32), ("a line",)).sign([signer])
    assert Checkpoint.open(made.note, [signer.verifier]).extensions == ("a line",)


def test_a_checkpoint_must_be_signed_by_its_own_log(signer):
    stranger = NoteSigner("stranger.example", bytes([9]) * 32)
    note = Checkpoint(signer.name, 3, ROOT).sign([stranger]).note
    with pytest.raises(SignatureError, match=r"signed by stranger\.example only"):
        Checkpoint.open(note, [signer.verifier, stranger.verifier])


def test_a_proof_is_the_text_of_the_specification(checkpoint, signer):
    proof = TlogProof(1, tuple(tlog.inclusion_proof(1, 3, read_node)), checkpoint.note)
    assert proof.encode().decode() == GOLDEN_PROOF
    assert TlogProof.parse(proof.encode()) == proof
    assert proof.verify(HASHES[1], [signer.verifier]) == checkpoint
    with_extra = TlogProof(1, proof.hashes, checkpoint.note, b"anything")
    assert b"\nextra YW55dGhpbmc=\nindex 1\n" in with_extra.encode()
    assert TlogProof.parse(with_extra.encode()) == with_extra


def test_a_proof_of_another_leaf_fails(checkpoint, signer):
    proof = TlogProof(1, tuple(tlog.inclusion_proof(1, 3, read_node)), checkpoint.note)
    with pytest.raises(ProofError):
        proof.verify(HASHES[0], [signer.verifier])
    with pytest.raises(OutOfRange):
        TlogProof(3, proof.hashes, checkpoint.note).verify(HASHES[1], [signer.verifier])
    with pytest.raises(SignatureError):
        proof.verify(HASHES[1], [NoteSigner(signer.name, bytes(32)).verifier])


def test_no_byte_of_a_proof_can_change(checkpoint, signer):
    data = TlogProof(1, tuple(tlog.inclusion_proof(1, 3, read_node)), checkpoint.note).encode()
    for at in range(len(data)):
        broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises((MalformedError, VerificationError, OutOfRange)):
            TlogProof.parse(broken).verify(HASHES[1], [signer.verifier])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"c2sp.org/tlog-proof@v2\nindex 0\n\nnote",
        b"c2sp.org/tlog-proof@v1\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 00\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 0\n"
        + b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" * 64
        + b"\nnote",
        b"c2sp.org/tlog-proof@v1\nextra =\nindex 0\n\nnote",
        b"c2sp.org/tlog-proof@v1\nextra \xff\nindex 0\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 0\n",
    ],
)
def test_no_other_form_is_a_proof(data):
    with pytest.raises(MalformedProof):
        TlogProof.parse(data)
