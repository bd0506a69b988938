# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Many proofs to one checkpoint: the fast check says what the slow one says."""

from __future__ import annotations

import contextlib
import random
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.ledger.errors import LedgerError, MalformedProof, ProofError
from runrecord.ledger.inclusion import InclusionChecker, decode_proofs, encode_proofs
from runrecord.ledger.tlog import inclusion_proof, leaf_hash, range_hash, root_of_hashes, verify_inclusion
from runrecord.ledger.tlog_proof import TlogProof

NOTE = b"example.com/test\n1\nx\n\n\xe2\x80\x94 example.com/test AAAA\n"


class Tree:
    def __init__(self, size: int) -> None:
        self.hashes = [leaf_hash(b"%d" % number) for number in range(size)]
        self.root = root_of_hashes(self.hashes)
        self.nodes: dict[tuple[int, int], bytes] = {}

    def node(self, level: int, index: int) -> bytes:
        if level == 0:
            return self.hashes[index]
        if (level, index) not in self.nodes:
            half = 1 << (level - 1)
            start = index << level
            parts = [range_hash(at, at + half, self.node) for at in (start, start + half)]
            self.nodes[level, index] = sha256(b"\x01" + parts[0] + parts[1]).digest()
        return self.nodes[level, index]

    def proof(self, index: int) -> list[bytes]:
        return inclusion_proof(index, len(self.hashes), self.node)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 21, 64, 257])
def test_every_leaf_of_every_shape_is_proven(size):
    tree = Tree(size)
    checker, files = InclusionChecker(size, tree.root), InclusionChecker(size, tree.root, NOTE)
    for index, digest in enumerate(tree.hashes):
        checker.check(index, digest, tree.proof(index))
        files.check_file(index, digest, TlogProof(index, tuple(tree.proof(index)), NOTE).encode())


def refused(check, *arguments) -> bool:
    try:
        check(*arguments)
    except LedgerError:
        return True
    return False


@given(st.integers(1, 70), st.randoms(use_true_random=False))
def test_it_refuses_exactly_what_the_standard_check_refuses(size, chance):
    """Whatever was checked before, and whatever is changed."""
    tree = Tree(size)
    checker = InclusionChecker(size, tree.root)
    for _ in range(12):
        index = chance.randrange(size)
        digest, proof = tree.hashes[index], tree.proof(index)
        change = chance.choice(
            ["none", "none", "hash", "leaf", "index", "cut", "more", "swap", "short", "other"]
        )
        if change == "hash" and proof:
            proof[chance.randrange(len(proof))] = bytes(32)
        elif change == "leaf":
            digest = tree.hashes[chance.randrange(size)]
        elif change == "index":
            index = chance.randrange(-1, size + 2)
        elif change == "cut" and proof:
            proof.pop(chance.randrange(len(proof)))
        elif change == "more":
            proof.insert(chance.randrange(len(proof) + 1), bytes(32))
        elif change == "swap":
            chance.shuffle(proof)
        elif change == "short" and proof:
            proof[-1] = proof[-1][:31]
        elif change == "other":
            proof = tree.proof(chance.randrange(size))
        expected = refused(verify_inclusion, digest, index, size, proof, tree.root)
        assert refused(checker.check, index, digest, proof) == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.replace(b"index 3", b"index 03"),
        lambda p: p.replace(b"index 3", b"index 4"),
        lambda p: p.replace(b"tlog-proof@v1", b"tlog-proof@v2"),
        lambda p: p.replace(b"tlog-proof@v1\n", b"tlog-proof@v1\nextra eA==\n"),
        lambda p: p.replace(b"=\n", b"=\r\n", 1),
        lambda p: p.replace(b"=\n", b"\n", 1),
        lambda p: p.replace(b"=\n", b"= \n", 1),
        lambda p: p.replace(NOTE, NOTE[:-1]),
        lambda p: p.replace(NOTE, b"x" + NOTE),
        lambda p: p[:-1],
        lambda p: p + b"\n",
        lambda p: b"",
        lambda p: p[:30],
        lambda p: p.split(b"\n\n")[0],
    ],
)
def test_a_file_of_another_form_is_refused(change):
    tree = Tree(9)
    good = TlogProof(3, tuple(tree.proof(3)), NOTE).encode()
    checker = InclusionChecker(9, tree.root, NOTE)
    checker.check_file(3, tree.hashes[3], good)
    assert change(good) != good
    with pytest.raises(MalformedProof):
        checker.check_file(3, tree.hashes[3], change(good))


def test_a_hash_in_another_spelling_is_refused():
    """Two bits of the last letter of base64 say nothing; only one spelling of each hash is accepted."""
    tree = Tree(2)
    good = TlogProof(0, tuple(tree.proof(0)), NOTE).encode()
    at = good.index(b"=\n")
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = alphabet[alphabet.index(good[at - 1]) ^ 1]
    spelt = good[: at - 1] + bytes((other,)) + good[at:]
    with pytest.raises(MalformedProof):
        InclusionChecker(2, tree.root, NOTE).check_file(0, tree.hashes[0], spelt)


@given(st.integers(1, 90), st.sets(st.integers(0, 89)))
def test_proofs_in_one_file_come_out_as_they_went_in(size, chosen):
    tree = Tree(size)
    indices = sorted(index for index in chosen if index < size)
    proofs = [tuple(tree.proof(index)) for index in indices]
    assert list(decode_proofs(encode_proofs(proofs))) == proofs


def test_neighbours_share_what_they_have_in_common():
    tree = Tree(1024)
    packed = encode_proofs([tree.proof(index) for index in range(1024)])
    assert len(packed) < 1024 * (2 + 2 * 32 + 32)
    assert len(packed) > 1024 * 32


def test_a_file_of_proofs_that_is_damaged_is_refused_or_gives_other_proofs():
    tree = Tree(40)
    proofs = [tuple(tree.proof(index)) for index in range(40)]
    packed = encode_proofs(proofs)
    for cut in range(len(packed)):
        with contextlib.suppress(MalformedProof):
            assert list(decode_proofs(packed[:cut])) != proofs
    chance = random.Random(7)
    for _ in range(500):
        changed = bytearray(packed)
        changed[chance.randrange(len(changed))] ^= chance.randrange(1, 256)
        try:
            found = list(decode_proofs(bytes(changed)))
        except MalformedProof:
            continue
        assert found != proofs
    with pytest.raises(MalformedProof, match="more hashes"):
        list(decode_proofs(b"\x00\x01"))
    with pytest.raises(MalformedProof, match="cut off"):
        list(decode_proofs(b"\x01"))


def test_a_proof_for_no_leaf_of_the_tree_is_refused():
    with pytest.raises(LedgerError):
        InclusionChecker(0, bytes(32)).check(0, bytes(32), [])
    with pytest.raises(ProofError):
        InclusionChecker(2, bytes(32)).check(0, bytes(32), [bytes(32)] * 64)
