# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A log that grows in memory, with a key and proofs, and a witness in a directory."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from witness_server import Serving

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.note import NoteSigner
from runrecord.ledger.tlog import consistency_proof, leaf_hash, range_hash, tree_root
from runrecord.ledger.witness import Witness, WitnessState


class GrowingLog:
    """All leaves in memory; every size of it can be asked for."""

    def __init__(self, origin="log.example/agents", seed=b"L" * 32, leaf=b"leaf %d"):
        self.signer = NoteSigner(origin, seed)
        self.origin = origin
        self._leaf = leaf

    def _node(self, level, index):
        if level == 0:
            return leaf_hash(self._leaf % index)
        return range_hash(index << level, (index + 1) << level, self._node_below(level))

    def _node_below(self, level):
        from runrecord.ledger.tlog import node_hash

        def node(wanted, index):
            if wanted < level:
                return self._node(wanted, index)
            return node_hash(self._node(level - 1, 2 * index), self._node(level - 1, 2 * index + 1))

        return node

    def checkpoint(self, size, *signers):
        return Checkpoint(self.origin, size, tree_root(size, self._node)).sign([*(signers or (self.signer,))])

    def prove(self, old, new):
        return consistency_proof(old, new, self._node)


@pytest.fixture
def log():
    return GrowingLog()


@pytest.fixture
def fork():
    """The same log, with other leaves."""
    return GrowingLog(leaf=b"another %d")


@pytest.fixture
def at(tmp_path, log):
    """A witness that knows the log, its state and its clock."""
    state = WitnessState.create(tmp_path / "witness", "witness.example/w1")
    clock = SimpleNamespace(now=1_800_000_000.9)
    witness = Witness(state, [log.signer.verifier], now=lambda: clock.now)
    yield SimpleNamespace(witness=witness, state=state, clock=clock, directory=tmp_path / "witness")
    state.close()


@pytest.fixture
def serve(tmp_path):
    """Start witnesses; they are stopped at the end."""
    started = []

    def start(*arguments, name="witness.example/w1"):
        serving = Serving(tmp_path / f"served{len(started)}", *arguments, name=name)
        started.append(serving)
        return serving

    yield start
    for serving in started:
        serving.kill()
