# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The Merkle tree against published vectors, against the definition, and against broken proofs."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.ledger import tlog
from runrecord.ledger.errors import OutOfRange, ProofError

# The test vectors of Certificate Transparency (RFC 6962): eight leaves, and the roots over the first one, two, ... of them.
CT_LEAVES = [
    bytes.fromhex(each)
    for each in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_INCLUSION = {  # (leaf, size): proof
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}

SIZES = st.integers(1, 2**14)


def reader(hashes):
    """Return a node reader over leaf hashes, straight from the definition."""

    @lru_cache(None)
    def node(level, index):
        if level == 0:
            return hashes[index]
        return tlog.node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))

    return node


def defined_root(hashes):
    """Return the root as RFC 6962 section 2.1 defines it."""
    if len(hashes) < 2:
        return hashes[0] if hashes else sha256(b"").digest()
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return tlog.node_hash(defined_root(hashes[:split]), defined_root(hashes[split:]))


@lru_cache(None)
def hashes():
    return [tlog.leaf_hash(b"%d" % i) for i in range(2**14)]


@lru_cache(None)
def node():
    return reader(hashes())


@lru_cache(None)
def roots():
    stack = tlog.RootStack()
    found = [stack.root()]
    for each in hashes():
        stack.push(each)
        found.append(stack.root())
    return found


def test_published_roots():
    for size, root in enumerate(CT_ROOTS, 1):
        assert tlog.root_of_leaves(CT_LEAVES[:size]).hex() == root
    assert tlog.root_of_leaves([]) == tlog.EMPTY_ROOT == sha256(b"").digest()


def test_published_proofs():
    read = reader([tlog.leaf_hash(each) for each in CT_LEAVES])
    for (index, size), proof in CT_INCLUSION.items():
        assert [each.hex() for each in tlog.inclusion_proof(index, size, read)] == proof


def test_roots_are_as_defined():
    for size in range(301):
        assert roots()[size] == defined_root(hashes()[:size]) == tlog.tree_root(size, node())


def test_every_proof_up_to_300_leaves():
    for size in (*range(1, 65), *range(65, 300, 13), 255, 256, 257, 300):
        for index in range(size):
            proof = tlog.inclusion_proof(index, size, node())
            tlog.verify_inclusion(hashes()[index], index, size, proof, roots()[size])
            proof = tlog.consistency_proof(index, size, node())
            tlog.verify_consistency(index, roots()[index], size, roots()[size], proof)


@given(SIZES, st.data())
def test_an_inclusion_proof_holds_for_its_leaf_only(size, data):
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1))
    proof = tlog.inclusion_proof(index, size, node())
    assert tlog.root_from_inclusion(hashes()[index], index, size, proof) == roots()[size]
    if other != index:
        for wrong in ((hashes()[other], index), (hashes()[index], other)):
            with pytest.raises(ProofError):
                tlog.verify_inclusion(wrong[0], wrong[1], size, proof, roots()[size])


@given(SIZES, st.data())
def test_a_broken_inclusion_proof_fails(size, data):
    index = data.draw(st.integers(0, size - 1))
    proof = tlog.inclusion_proof(index, size, node())
    for broken in broken_proofs(proof, data):
        with pytest.raises(ProofError):
            tlog.verify_inclusion(hashes()[index], index, size, broken, roots()[size])
    with pytest.raises(ProofError):
        tlog.verify_inclusion(hashes()[index], index, size, proof, roots()[size - 1])


@given(SIZES, st.data())
def test_a_consistency_proof_holds_for_its_trees_only(size, data):
    old = data.draw(st.integers(0, size))
    proof = tlog.consistency_proof(old, size, node())
    tlog.verify_consistency(old, roots()[old], size, roots()[size], proof)
    if 0 < old < size:
        for broken in broken_proofs(proof, data):
            with pytest.raises(ProofError):
                tlog.verify_consistency(old, roots()[old], size, roots()[size], broken)
        with pytest.raises(ProofError):
            tlog.verify_consistency(old, roots()[old - 1], size, roots()[size], proof)
        with pytest.raises(ProofError):
            tlog.verify_consistency(old, roots()[old], size, roots()[size - 1], proof)


def broken_proofs(proof, data):
    """Yield proofs with a hash dropped, added, flipped, shortened or swapped."""
    yield [*proof, bytes(32)]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        yield proof[:at] + proof[at + 1 :]
        yield [*proof[:at], bytes([proof[at][0] ^ 1]) + proof[at][1:], *proof[at + 1 :]]
        yield [*proof[:at], proof[at][:31], *proof[at + 1 :]]
    if len(proof) > 1:
        yield proof[::-1]


@pytest.mark.parametrize(("old", "new"), [(0, 5), (5, 5)])
def test_nothing_to_prove_takes_an_empty_proof_only(old, new):
    tlog.verify_consistency(old, roots()[old], new, roots()[new], [])
    with pytest.raises(ProofError):
        tlog.verify_consistency(old, roots()[old], new, roots()[new], [bytes(32)])
    with pytest.raises(ProofError):
        tlog.verify_consistency(old, bytes(32), new, roots()[new], [])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_there_is_no_proof_of_a_leaf_outside(index, size):
    with pytest.raises(OutOfRange):
        tlog.inclusion_proof(index, size, node())
    with pytest.raises(OutOfRange):
        tlog.verify_inclusion(bytes(32), index, size, [], bytes(32))


@pytest.mark.parametrize(("old", "new"), [(6, 5), (-1, 5)])
def test_a_tree_does_not_shrink(old, new):
    with pytest.raises(OutOfRange):
        tlog.consistency_proof(old, new, node())
    with pytest.raises(OutOfRange):
        tlog.verify_consistency(old, bytes(32), new, bytes(32), [])
