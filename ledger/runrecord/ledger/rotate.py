# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Changing the key of a log: make the new one durable, state the change, have both keys sign, keep the proof.

Every step can be done again: a writer that finds a new key which the log does not state yet goes on with the next step when it opens
the log. The old key is given up by the first checkpoint that is signed after the overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from runrecord.ledger.errors import LedgerError
from runrecord.ledger.note import NoteSigner
from runrecord.ledger.once import append_once
from runrecord.ledger.rotation import Rotation, parse_rotation, require_both, rotation_entry, rotation_name
from runrecord.ledger.stores.base import PUBLIC_KEY
from runrecord.ledger.tlog_proof import TlogProof

if TYPE_CHECKING:
    from runrecord.ledger.ledger import Ledger

_NANO: Final = 1_000_000_000


def state_rotation(ledger: Ledger) -> Rotation:
    """State the change to the newest key of a writer, publish a checkpoint that both keys sign, and keep the proof beside the log.

    Raises:
        LedgerError: The log can't be written; it is done when the log is opened again.
    """
    log = ledger.log
    keyring = log.keyring
    new, old = keyring.signers[:2]
    log.keep(PUBLIC_KEY, "".join(f"{vkey}\n" for vkey in keyring.listed).encode())
    time = int(ledger.now() * _NANO)
    entry = rotation_entry(old.vkey, new.vkey, until=max(keyring.until, time), time=time)
    (index,) = append_once(log, [entry])
    checkpoint = ledger.publish()
    proof = TlogProof(
        index, tuple(log.inclusion_proof(index, checkpoint.size)), checkpoint.note, log.leaf(index)
    )
    rotation = parse_rotation(proof.encode())
    require_both(rotation)
    log.keep(rotation.name, rotation.proof)
    keyring.stated(rotation)
    return rotation


def rotate_key(ledger: Ledger, details: Mapping[str, str]) -> Mapping[str, str]:
    """Make a new key on this machine and change to it (an action of :mod:`runrecord.ledger.administration`).

    Args:
        ledger: Open to write.
        details: ``old`` (the public key that is to be replaced), ``overlap`` (seconds) and ``time``.

    Returns:
        ``old``, ``new``, ``until`` (nanoseconds) and the ``index`` of the entry.

    Raises:
        LedgerError: The keys are not kept on this machine, or the log has another key.
    """
    log, keyring = ledger.log, ledger.log.keyring
    if keyring.newest.vkey == details["old"]:
        if not keyring.is_local:
            raise LedgerError(
                f"the key of the ledger in {ledger.where} is in a file that its configuration names",
                "make a new key with --new-key-file FILE, then set key_file to it and previous_key_files to [the old file], and restart",
            )
        signer = NoteSigner.generate(log.origin)
        keyring.add(signer, int(details["time"]) + int(float(details["overlap"]) * _NANO))
        rotation = state_rotation(ledger)
    else:  # a crash came before the answer
        data = log.objects.read(rotation_name(keyring.newest.verifier))
        rotation = parse_rotation(data) if data is not None else state_rotation(ledger)
        if rotation.old.vkey != details["old"]:
            raise LedgerError(
                f"the key of the ledger in {ledger.where} is another one than the one to be replaced",
                "look at the newest: runrecord ledger keys",
            )
    return {
        "old": rotation.old.vkey,
        "new": rotation.new.vkey,
        "until": str(rotation.until),
        "index": str(rotation.index),
    }
