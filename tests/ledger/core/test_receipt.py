# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""COSE receipts of entries: another implementation accepts them, and no changed byte is accepted by ours."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from runrecord.ledger.errors import LedgerError, SignatureError
from runrecord.ledger.note import NoteSigner
from runrecord.ledger.receipt import Receipt, make_receipt, verify_receipt
from runrecord.ledger.tlog import inclusion_proof, leaf_hash, node_hash, tree_root

SIGNER = NoteSigner("example.com/agents/bundle", b"B" * 32)
LEAVES = [b"leaf %d" % number for number in range(300)]


def node(level, index):
    if level == 0:
        return leaf_hash(LEAVES[index])
    return node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))


def made(index, size, signer=SIGNER):
    return make_receipt(
        LEAVES[index], index, size, inclusion_proof(index, size, node),
        issuer="example.com/agents", subject="run:r1", signer=signer,
    )  # fmt: skip


@pytest.mark.parametrize("size", [2, 3, 7, 8, 255, 256, 257, 300])
def test_another_implementation_accepts_it(size):
    scitt_cose = pytest.importorskip("scitt_cose", reason="newer than the lower bounds")
    public = Ed25519PublicKey.from_public_bytes(SIGNER.verifier.public).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for index in {0, size // 2, size - 1}:
        receipt = made(index, size)
        said = scitt_cose.verify_receipt(
            receipt, leaf_entry_hex=LEAVES[index].hex(), log_public_key_pem=public
        )
        assert said.ok, said.errors
        wrong = scitt_cose.verify_receipt(receipt, leaf_entry_hex=b"no".hex(), log_public_key_pem=public)
        assert not wrong.ok
        root = tree_root(size, node)
        assert verify_receipt(receipt, LEAVES[index], SIGNER.verifier) == Receipt(
            "example.com/agents", "run:r1", size, index, root
        )


def test_a_log_of_one_entry_has_an_empty_path():
    assert verify_receipt(made(0, 1), LEAVES[0], SIGNER.verifier).size == 1


def test_another_entry_or_key_is_refused():
    receipt = made(5, 300)
    with pytest.raises(SignatureError, match="another entry"):
        verify_receipt(receipt, LEAVES[6], SIGNER.verifier)
    with pytest.raises(SignatureError, match="not signed by"):
        verify_receipt(receipt, LEAVES[5], NoteSigner("example.com/agents/bundle", b"C" * 32).verifier)


def test_no_byte_can_go():
    receipt = made(5, 300)
    for broken in (*(receipt[:end] for end in range(len(receipt))), receipt + b"\0"):
        with pytest.raises(LedgerError):
            verify_receipt(broken, LEAVES[5], SIGNER.verifier)


def test_no_bit_can_change_but_of_the_size_that_is_not_signed():
    receipt = made(5, 300)
    said = verify_receipt(receipt, LEAVES[5], SIGNER.verifier)
    passed = []
    for index in range(len(receipt)):
        broken = receipt[:index] + bytes([receipt[index] ^ 1]) + receipt[index + 1 :]
        with contextlib.suppress(LedgerError):
            passed.append(verify_receipt(broken, LEAVES[5], SIGNER.verifier))
    assert [replace(each, size=300) for each in passed] == [said] * len(passed)


@given(st.binary(max_size=200))
def test_nothing_else_is_raised(data):
    with contextlib.suppress(LedgerError):
        verify_receipt(data, LEAVES[5], SIGNER.verifier)
