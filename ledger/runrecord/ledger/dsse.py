# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""DSSE envelopes (secure-systems-lab/dsse v1.0.2): a payload, its type, and Ed25519 signatures over both."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Final, cast

from runrecord.ledger.errors import MalformedError, SignatureError
from runrecord.ledger.note import ED25519, NoteSigner, NoteVerifier, decode_base64
from runrecord.ledger.strict_json import JSON, StrictJsonError, array, read_object, refuse, string
from runrecord.semconv.canonical import canonical_json

_MAX_SIGNATURES: Final = 16


class MalformedEnvelope(MalformedError):  # noqa: N818 - named as its siblings are
    """Bytes are not the canonical form of a DSSE envelope."""


class UntrustedKey(SignatureError):  # noqa: N818
    """An envelope is signed, but by no key that the reader trusts: nothing is known about it."""


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding, which is what a signature covers (DSSE protocol, "PAE")."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def key_id(key: NoteSigner | NoteVerifier) -> str:
    """Return the id by which an envelope names a key: its name and hash. A hint, never trusted."""
    return f"{key.name}+{key.key_hash:08x}"


def seal(payload_type: str, payload: bytes, signer: NoteSigner) -> bytes:
    """Return a signed envelope, as canonical JSON."""
    signature = signer.sign(pae(payload_type, payload)).value
    return canonical_json(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [{"keyid": key_id(signer), "sig": base64.b64encode(signature).decode()}],
        }
    )


def unseal(envelope: bytes, payload_type: str, verifiers: Iterable[NoteVerifier]) -> bytes:
    """Return the payload of an envelope that a trusted key signed.

    Args:
        envelope: The envelope; only the canonical form is accepted.
        payload_type: The type that the payload must have.
        verifiers: The trusted keys.

    Raises:
        MalformedEnvelope: It is not an envelope of that type.
        UntrustedKey: None of its signatures claims a trusted key.
        SignatureError: A signature that claims a trusted key is wrong.
    """
    try:
        payload, signatures = _read(envelope, payload_type)
    except (StrictJsonError, ValueError) as error:
        reason = str(error) if isinstance(error, StrictJsonError) else "it is not canonical JSON"
        raise MalformedEnvelope(f"the statement is not a DSSE envelope: {reason}") from None
    trusted = {key_id(verifier): verifier for verifier in verifiers if verifier.algorithm == ED25519}
    claimed = [(trusted[name], value) for name, value in signatures if name in trusted]
    if not claimed:
        raise UntrustedKey(
            f"the statement is signed by {signatures[0][0]!r}, which is not a trusted bundle key",
            "get the bundle key from the operator by another way than the bundle itself",
        )
    message = pae(payload_type, payload)
    for verifier, value in claimed:
        if not verifier.verify(message, value):
            raise SignatureError(f"the signature by {verifier.name!r} is not over this statement")
    return payload


def signers(envelope: bytes, payload_type: str) -> list[str]:
    """Return the ids of the keys that an envelope names, which ``unseal`` has accepted."""
    return [name for name, _ in _read(envelope, payload_type)[1]]


def _read(envelope: bytes, payload_type: str) -> tuple[bytes, list[tuple[str, bytes]]]:
    members = read_object(envelope)
    if members.keys() != {"payload", "payloadType", "signatures"} or canonical_json(members) != envelope:
        refuse("its members are not those of an envelope, or not in canonical form")
    if members["payloadType"] != payload_type:
        refuse(f"its payload is not of type {payload_type}")
    payload = decode_base64(string(members, "payload"))
    signatures: list[tuple[str, bytes]] = []
    for item in array(members, "signatures"):
        if not isinstance(item, dict) or cast("dict[str, JSON]", item).keys() != {"keyid", "sig"}:
            refuse("a signature has other members than keyid and sig")
        signature = cast("dict[str, JSON]", item)
        value = decode_base64(string(signature, "sig"))
        if value is None:
            refuse("a signature is not base64")
        signatures.append((string(signature, "keyid"), value))
    if payload is None or not 0 < len(signatures) <= _MAX_SIGNATURES:
        refuse("its payload is not base64, or it has no signature, or too many")
    return payload, signatures
