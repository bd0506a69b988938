# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Signed notes (C2SP signed-note v1): a text, and signature lines by named keys."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from runrecord.ledger import cosignature
from runrecord.ledger.errors import LedgerError, MalformedNote, SignatureError

ED25519 = 0x01
"""Signature type: Ed25519 over the note's text."""
ED25519_COSIGNATURE = cosignature.ED25519
ML_DSA_44_COSIGNATURE = cosignature.ML_DSA_44

if TYPE_CHECKING:
    from typing_extensions import Self

_MAX_SIGNATURES = 100  # a parser must accept 16 or more; this bounds the work on a hostile note
_MAX_NOTE_SIZE = 1_000_000
_KEY_HASH_SIZE = 4
_KEY_SIZE = 32
_KEY_SIZES = {ED25519: _KEY_SIZE, ED25519_COSIGNATURE: _KEY_SIZE, ML_DSA_44_COSIGNATURE: 1312}
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_VKEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)")
_SKEY = re.compile(r"PRIVATE\+KEY\+([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)")


def decode_base64(text: str) -> bytes | None:
    """Return the bytes of canonical standard base64 (RFC 4648 section 4), None for anything else."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None


def is_valid_name(name: str) -> bool:
    """Return whether a key may have this name: not empty, no white space, no plus sign."""
    return bool(name) and "+" not in name and not _CONTROL.search(name) and not any(map(str.isspace, name))


def _key_hash(name: str, key: bytes) -> int:
    return int.from_bytes(sha256(name.encode() + b"\n" + key).digest()[:_KEY_HASH_SIZE], "big")


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line.

    Attributes:
        name: The key's name.
        key_hash: The first four bytes of the key's identifier, as an integer.
        value: The signature bytes, whose form depends on the key's type.
    """

    name: str
    key_hash: int
    value: bytes

    def line(self) -> str:
        """Return the line as it stands in a note, with its line feed."""
        encoded = base64.b64encode(self.key_hash.to_bytes(_KEY_HASH_SIZE, "big") + self.value).decode()
        return f"\u2014 {self.name} {encoded}\n"


class NoteVerifier:
    """A public key with a name, written as a vkey: ``name+hash+base64(type || key)``.

    Args:
        vkey: The key's text.

    Raises:
        MalformedNote: If the text is not a vkey, its hash does not fit, or its type is unknown.
    """

    __slots__ = ("_verify", "algorithm", "key_hash", "name", "public", "vkey")

    def __init__(self, vkey: str) -> None:
        match = _VKEY.fullmatch(vkey)
        key = decode_base64(match[3]) if match else None
        if not match or not key or not is_valid_name(match[1]):
            raise MalformedNote(
                "not a verifier key",
                "a verifier key is one line of the form name+hash+base64, as the log printed it",
            )
        self.name = match[1]
        self.key_hash = int(match[2], 16)
        if self.key_hash != _key_hash(self.name, key):
            raise MalformedNote(
                f"the verifier key named {self.name!r} does not have the hash that it states",
                "copy the whole key again from its source",
            )
        self.algorithm = key[0]
        if len(key) - 1 != _KEY_SIZES.get(self.algorithm):
            raise MalformedNote(
                f"the verifier key named {self.name!r} is of an unknown type {self.algorithm:#04x}"
            )
        self.vkey = vkey
        self.public = key[1:]
        if self.algorithm == ML_DSA_44_COSIGNATURE:
            self._verify = _ml_dsa_44(self.name, self.public)
        else:
            self._verify = Ed25519PublicKey.from_public_bytes(self.public).verify

    def __repr__(self) -> str:
        """Return the key's text; it is public."""
        return f"NoteVerifier({self.vkey!r})"

    @property
    def is_witness(self) -> bool:
        """Whether it is a cosigner's: its signatures carry a time."""
        return self.algorithm != ED25519

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Return whether this key made the signature over the note's text."""
        message: bytes | None = text
        if self.is_witness:
            parts = cosignature.split(signature)
            if parts is None:
                return False
            when, signature = parts
            if self.algorithm == ML_DSA_44_COSIGNATURE:
                message = cosignature.ml_dsa_44_message(self.name, when, text)
            else:
                message = cosignature.ed25519_message(when, text)
        if message is None:
            return False
        try:
            self._verify(signature, message)
        except InvalidSignature:
            return False
        return True


def _ml_dsa_44(name: str, public: bytes) -> Callable[[bytes, bytes], None]:
    try:
        from cryptography.hazmat.primitives.asymmetric.mldsa import (  # noqa: PLC0415 - newer than the lower bound
            MLDSA44PublicKey,
        )
    except ImportError as error:
        raise MalformedNote(
            f"the verifier key named {name!r} is of the type ML-DSA-44, which needs a newer cryptography",
            "pip install --upgrade cryptography",
        ) from error
    return MLDSA44PublicKey.from_public_bytes(public).verify


class NoteSigner:
    """An Ed25519 private key with a name.

    Args:
        name: The key's name; of a log key, the log's origin.
        seed: 32 secret bytes (RFC 8032); made at random by :meth:`generate`.
    """

    __slots__ = ("_key", "key_hash", "name", "vkey")
    algorithm = ED25519

    def __init__(self, name: str, seed: bytes) -> None:
        if not is_valid_name(name):
            raise MalformedNote(
                f"a key can't be named {name!r}",
                "use a name without white space and plus signs, such as example.com/log",
            )
        if len(seed) != _KEY_SIZE:
            raise MalformedNote(f"the seed of the key named {name!r} is not {_KEY_SIZE} bytes long")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.name = name
        public = bytes((self.algorithm,)) + self._key.public_key().public_bytes_raw()
        self.key_hash = _key_hash(name, public)
        self.vkey = f"{name}+{self.key_hash:08x}+{base64.b64encode(public).decode()}"

    def __repr__(self) -> str:
        """Return the public half only."""
        return f"{type(self).__name__}({self.vkey!r})"

    @classmethod
    def generate(cls, name: str) -> Self:
        """Make a new key."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, skey: str) -> Self:
        """Read the private key's text, ``PRIVATE+KEY+name+hash+base64(type || seed)``; nothing of it is ever echoed.

        Raises:
            MalformedNote: If it is not a private key, or its hash or type does not fit.
        """
        match = _SKEY.fullmatch(skey.strip())
        key = decode_base64(match[3]) if match else None
        if not match or not key or len(key) != 1 + _KEY_SIZE or key[0] != cls.algorithm:
            raise MalformedNote(
                "not an Ed25519 note key", "a private note key is one line that starts with PRIVATE+KEY+"
            )
        signer = cls(match[1], key[1:])
        if signer.key_hash != int(match[2], 16):
            raise MalformedNote(
                f"the private key named {signer.name!r} does not have the hash that it states"
            )
        return signer

    def private_text(self) -> str:
        """Return the private key's text: a secret, for a file of mode 0600."""
        secret = base64.b64encode(bytes((self.algorithm,)) + self._key.private_bytes_raw()).decode()
        return f"PRIVATE+KEY+{self.name}+{self.key_hash:08x}+{secret}"

    @property
    def verifier(self) -> NoteVerifier:
        """The public half."""
        return NoteVerifier(self.vkey)

    def sign(self, text: bytes) -> Signature:
        """Sign a note's text."""
        return Signature(self.name, self.key_hash, self._key.sign(text))


class CosignatureSigner(NoteSigner):
    """The Ed25519 private key of a witness."""

    __slots__ = ()
    algorithm = ED25519_COSIGNATURE

    def sign(self, text: bytes) -> Signature:
        """Cosign the text of a checkpoint, now."""
        return self.sign_at(int(time.time()), text)

    def sign_at(self, when: int, text: bytes) -> Signature:
        """Cosign the text of a checkpoint at a time, in seconds since the epoch."""
        signature = self._key.sign(cosignature.ed25519_message(when, text))
        return Signature(self.name, self.key_hash, cosignature.join(when, signature))


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note; nothing is verified yet.

    Attributes:
        text: What was signed, UTF-8, ending in a line feed.
        signatures: All signature lines, in order.
    """

    text: bytes
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Read a note; only the canonical form is accepted.

        Raises:
            MalformedNote: If it is not a signed note.
        """
        if len(data) > _MAX_NOTE_SIZE:
            raise MalformedNote(f"a note of {len(data)} bytes is over the limit of {_MAX_NOTE_SIZE}")
        try:
            whole = data.decode()
        except UnicodeDecodeError as error:
            raise MalformedNote(f"a note is not UTF-8 at byte {error.start}") from None
        if _CONTROL.search(whole):
            raise MalformedNote("a note holds a control character")
        text, blank, block = whole.rpartition("\n\n")
        if not blank or not block.endswith("\n"):
            raise MalformedNote("a note does not end with a blank line and signature lines")
        lines = block[:-1].split("\n")
        if len(lines) > _MAX_SIGNATURES:
            raise MalformedNote(f"a note has {len(lines)} signatures, over the limit of {_MAX_SIGNATURES}")
        return cls((text + "\n").encode(), tuple(map(_parse_signature, lines)))

    def encode(self) -> bytes:
        """Return the note as bytes."""
        return self.text + b"\n" + "".join(each.line() for each in self.signatures).encode()

    def verified_by(self, verifiers: Iterable[NoteVerifier]) -> tuple[NoteVerifier, ...]:
        """Return the trusted keys that signed this note; signatures by other keys are ignored.

        Raises:
            SignatureError: If none of the keys signed it, or a signature that claims one of them is wrong.
        """
        known: dict[tuple[str, int], NoteVerifier] = {}
        for each in verifiers:
            if known.setdefault((each.name, each.key_hash), each).vkey != each.vkey:
                raise SignatureError(f"two trusted keys share the name and hash of {each.name!r}")
        found: dict[tuple[str, int], NoteVerifier] = {}
        for signature in self.signatures:
            identity = (signature.name, signature.key_hash)
            verifier = known.get(identity)
            if verifier is None or identity in found:
                continue
            if not verifier.verify(self.text, signature.value):
                raise SignatureError(f"the signature by {signature.name!r} is not over this text")
            found[identity] = verifier
        if not found:
            names = ", ".join(sorted({name for name, _ in known})) or "no key at all"
            raise SignatureError(f"the note is not signed by a trusted key (trusted: {names})")
        return tuple(found.values())


def _parse_signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    value = decode_base64(encoded)
    if dash != "\u2014" or not is_valid_name(name) or value is None or len(value) <= _KEY_HASH_SIZE:
        raise MalformedNote("a signature line of a note is not of the form: em dash, key name, base64")
    return Signature(name, int.from_bytes(value[:_KEY_HASH_SIZE], "big"), value[_KEY_HASH_SIZE:])


def sign_note(text: bytes, signers: Iterable[NoteSigner]) -> bytes:
    """Return the signed note of a text.

    Raises:
        LedgerError: If the text does not end in a line feed or there is no signer.
        MalformedNote: If the text can't be carried by a note.
    """
    signatures = tuple(each.sign(text) for each in signers)
    if not signatures or not text.endswith(b"\n"):
        raise LedgerError("a note needs a text that ends in a line feed, and a signer")
    data = Note(text, signatures).encode()
    if Note.parse(data).text != text:
        raise MalformedNote("the text of a note can't be told from its signatures")
    return data


def open_note(data: bytes, verifiers: Iterable[NoteVerifier]) -> bytes:
    """Return the text of a note that a trusted key signed.

    Raises:
        MalformedNote: If it is not a signed note.
        SignatureError: If no trusted key signed it, or a signature under a trusted key's name is wrong.
    """
    note = Note.parse(data)
    note.verified_by(verifiers)
    return note.text
