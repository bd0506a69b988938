# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The change from one log key to the next: the entry that states it, its proof, and what a verifier learns from that.

A log states the change in an entry, and keeps beside it, as ``keys/<hash of the new key>.tlog-proof``, the note of a checkpoint that
covers this entry and that both keys have signed: whoever trusts the old key learns the new one from it, offline. The proof carries the
entry as its extra data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.errors import LedgerError, MalformedProof, SignatureError
from runrecord.ledger.note import ED25519, NoteVerifier
from runrecord.ledger.stores.base import Objects
from runrecord.ledger.tlog import leaf_hash
from runrecord.ledger.tlog_proof import TlogProof

ROTATIONS: Final = "keys/"
"""Directory of the proofs."""
_DIGITS: Final = 19


@dataclass(frozen=True, slots=True)
class Rotation:
    """A change of the key.

    Attributes:
        index: Index of the entry that states it.
        old: The key before.
        new: The key from then on.
        until: When the old key ceases to sign, nanoseconds since the Unix epoch.
        proof: The ``.tlog-proof`` of the entry.
    """

    index: int
    old: NoteVerifier
    new: NoteVerifier
    until: int
    proof: bytes

    @property
    def name(self) -> str:
        """Name of the proof's object."""
        return rotation_name(self.new)


def rotation_name(new: NoteVerifier) -> str:
    """Return the name of the object that proves the change to a key."""
    return f"{ROTATIONS}{new.key_hash:08x}.tlog-proof"


def rotation_entry(old: str, new: str, *, until: int, time: int) -> Entry:
    """Return the entry that states a change.

    Args:
        old: The public key before, as text.
        new: The public key from then on.
        until: When the old one ceases to sign, and its private half is removed, nanoseconds since the Unix epoch.
        time: Now, the same.
    """
    detail = {"old": old, "new": new, "until": str(until)}
    return Entry(kind=Kind.KEY_ROTATION, start=time, end=time, detail=detail)


def parse_rotation(proof: bytes) -> Rotation:
    """Read the proof of a change; nothing is verified.

    Raises:
        MalformedError: It is not one.
    """
    parsed = TlogProof.parse(proof)
    entry = Entry.parse(parsed.extra or b"")
    if entry.kind != Kind.KEY_ROTATION:
        raise MalformedProof("the proof of a change of keys is about another entry")
    try:
        old, new = NoteVerifier(entry.detail["old"]), NoteVerifier(entry.detail["new"])
        until = entry.detail["until"]
    except KeyError:
        raise MalformedProof("an entry about a change of keys does not name the keys") from None
    if not until.isdecimal() or len(until) > _DIGITS or old.name != new.name:
        raise MalformedProof("an entry about a change of keys does not say until when, or is about two logs")
    if (old.algorithm, new.algorithm) != (ED25519, ED25519) or old.vkey == new.vkey:
        raise MalformedProof("an entry about a change of keys is not about two log keys")
    return Rotation(parsed.index, old, new, int(until), proof)


def require_both(rotation: Rotation) -> Checkpoint:
    """Return the checkpoint of a change's proof, if it covers the entry and both keys have signed it.

    Raises:
        SignatureError: A signature is missing or wrong.
        ProofError: The entry is not in the log.
    """
    proof = TlogProof.parse(rotation.proof)
    leaf = leaf_hash(proof.extra or b"")
    for key in (rotation.old, rotation.new):
        try:
            checkpoint = proof.verify(leaf, [key])
        except SignatureError as error:
            which = "old" if key is rotation.old else "new"
            raise SignatureError(
                f"the note that covers the change of keys in entry {rotation.index} is not signed by the {which} key"
            ) from error
    return checkpoint


def learn(proofs: Iterable[bytes], trusted: Sequence[NoteVerifier]) -> list[Rotation]:
    """Return the changes by which keys that are trusted vouch for others, in the order of the log.

    Args:
        proofs: Proofs of changes; those that no trusted key leads to are left out.
        trusted: The keys that are pinned.

    Raises:
        MalformedError: A proof is not one.
        VerificationError: A proof that a trusted key leads to does not hold.
    """
    known = {key.vkey for key in trusted}
    learned: list[Rotation] = []
    for rotation in sorted(map(parse_rotation, proofs), key=lambda each: each.index):
        if rotation.old.vkey in known:
            require_both(rotation)
            learned.append(rotation)
            known.add(rotation.new.vkey)
    return learned


def stored_proofs(store: Objects) -> list[bytes]:
    """Return the proofs that a log keeps, in no order.

    Raises:
        LedgerError: The store does not answer.
    """
    found = (store.read(name) for name in sorted(store.names(ROTATIONS)) if name.endswith(".tlog-proof"))
    return [proof for proof in found if proof is not None]


def learned_keys(store: Objects, trusted: Sequence[NoteVerifier]) -> tuple[NoteVerifier, ...]:
    """Return pinned keys, and before them those that a log's proofs lead to from there; a proof that does not hold leads nowhere."""
    learned: list[NoteVerifier] = []
    try:
        learned = [rotation.new for rotation in learn(stored_proofs(store), trusted)]
    except LedgerError:
        return tuple(trusted)
    pinned = {key.vkey for key in trusted}
    return (*(key for key in reversed(learned) if key.vkey not in pinned), *trusted)
