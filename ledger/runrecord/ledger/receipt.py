# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The receipt of an entry for systems of SCITT (RFC 9943): a COSE receipt (RFC 9942) over the very tree that the log has.

The tree of RFC 9162 is that of C2SP tlog-tiles, so an inclusion proof is the same hashes in another envelope. The extra ``scitt``
brings the CBOR encoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from runrecord.ledger.errors import LedgerError, MalformedProof, SignatureError
from runrecord.ledger.note import NoteSigner, NoteVerifier
from runrecord.ledger.tlog import HASH_SIZE, leaf_hash, root_from_inclusion

_ALG: Final = 1
_KID: Final = 4
_CWT_CLAIMS: Final = 15
_ISS: Final = 1
_SUB: Final = 2
_VDS: Final = 395
_VDP: Final = 396
_RFC9162_SHA256: Final = 1
_INCLUSION: Final = -1
_EDDSA: Final = -8
_SIGN1_TAG: Final = 18
_MAX_SIZE: Final = 64 << 10


@dataclass(frozen=True)
class Receipt:
    """What a verified receipt says.

    Attributes:
        issuer: The log's origin.
        subject: What the entry is about, ``run:`` and the id of its run.
        size: Size of the tree as the receipt states it; RFC 9942 signs the root alone, so another size with the same path passes too.
        index: Place of the entry in it.
        root: Root hash of the tree, 32 bytes.
    """

    issuer: str
    subject: str
    size: int
    index: int
    root: bytes


def make_receipt(
    leaf: bytes, index: int, size: int, hashes: list[bytes], *, issuer: str, subject: str, signer: NoteSigner
) -> bytes:
    """Return the COSE receipt of an entry; the same arguments give the same bytes.

    Args:
        leaf: The entry.
        index: Its place.
        size: Size of the tree.
        hashes: Its inclusion proof.
        issuer: The log's origin.
        subject: What the entry is about.
        signer: The key that vouches for the root; the ledger's bundle key.
    """
    cbor = _cbor()
    root = root_from_inclusion(leaf_hash(leaf), index, size, hashes)
    protected = cbor.dumps(
        {
            _ALG: _EDDSA,
            _KID: signer.name.encode(),
            _CWT_CLAIMS: {_ISS: issuer, _SUB: subject},
            _VDS: _RFC9162_SHA256,
        },
        canonical=True,
    )
    proof = cbor.dumps([size, index, hashes], canonical=True)
    signature = signer.sign(_to_be_signed(cbor, protected, root)).value
    parts = [protected, {_VDP: {_INCLUSION: [proof]}}, None, signature]
    return bytes(cbor.dumps(cbor.CBORTag(_SIGN1_TAG, parts), canonical=True))


def verify_receipt(receipt: bytes, leaf: bytes, key: NoteVerifier) -> Receipt:
    """Check that a receipt is of an entry and signed by a key.

    Args:
        receipt: The receipt; only the canonical encoding is accepted.
        leaf: The entry.
        key: The pinned key.

    Raises:
        MalformedProof: It is no receipt of this kind.
        OutOfRange: Its index is not below its size.
        ProofError: Its proof has the wrong length.
        SignatureError: The key did not sign it, or it is of another entry.
    """
    cbor = _cbor()
    if len(receipt) > _MAX_SIZE:
        raise MalformedProof(f"a receipt of {len(receipt)} bytes is over the limit of {_MAX_SIZE}")
    protected, header, proof, signature = _parts(cbor, receipt)
    size, index, hashes = proof
    root = root_from_inclusion(leaf_hash(leaf), index, size, hashes)
    if not key.verify(_to_be_signed(cbor, protected, root), signature):
        raise SignatureError(f"the receipt is of another entry, or not signed by {key.name!r}")
    claims = header[_CWT_CLAIMS]
    return Receipt(claims[_ISS], claims[_SUB], size, index, root)


def _parts(cbor: Any, receipt: bytes) -> tuple[bytes, dict[int, Any], tuple[int, int, list[bytes]], bytes]:
    """Take a receipt apart."""
    try:
        tagged = cbor.loads(receipt)
        protected, unprotected, payload, signature = tagged.value
        header = cast("dict[int, Any]", cbor.loads(protected))
        [encoded] = unprotected[_VDP][_INCLUSION]
        size, index, hashes = cbor.loads(encoded)
        claims = header[_CWT_CLAIMS]
        good = (
            tagged.tag == _SIGN1_TAG
            and cbor.dumps(tagged, canonical=True) == receipt
            and payload is None
            and cbor.dumps(header, canonical=True) == protected
            and cbor.dumps([size, index, hashes], canonical=True) == encoded
            and (header[_ALG], header[_VDS]) == (_EDDSA, _RFC9162_SHA256)
            and isinstance(signature, bytes)
            and type(size) is int
            and type(index) is int
            and all(isinstance(each, bytes) and len(each) == HASH_SIZE for each in hashes)
            and isinstance(claims[_ISS], str)
            and isinstance(claims[_SUB], str)
        )
    except (cbor.CBORError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MalformedProof("this is no COSE receipt of an entry of such a log") from error
    if not good:
        raise MalformedProof("this is no COSE receipt of an entry of such a log")
    return protected, header, (size, index, list(hashes)), signature


def _to_be_signed(cbor: Any, protected: bytes, root: bytes) -> bytes:
    """Return the Sig_structure of RFC 9052, section 4.4; the payload is detached, and is the root."""
    return bytes(cbor.dumps(["Signature1", protected, b"", root], canonical=True))


def _cbor() -> Any:
    try:
        import cbor2  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise LedgerError(
            "receipts need cbor2, which is not installed", 'pip install "runrecord[scitt]"'
        ) from error
    return cbor2
