# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Signed notes: the published example, canonical form only, rotation, and keys that stay secret."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from runrecord.ledger.errors import LedgerError, MalformedNote, SignatureError
from runrecord.ledger.note import ED25519_COSIGNATURE, Note, NoteSigner, NoteVerifier, open_note, sign_note

# The example in the documentation of Go's golang.org/x/mod/sumdb/note: public test keys.
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = (
    b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
SIGNED = (
    TEXT
    + "\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n".encode()
)
TRUSTED = [NoteVerifier(VKEY)]


def test_the_published_example_verifies_and_is_made_again_byte_for_byte():
    assert open_note(SIGNED, TRUSTED) == TEXT
    signer = NoteSigner.parse(SKEY)
    assert signer.vkey == VKEY
    assert signer.private_text() == SKEY
    assert sign_note(TEXT, [signer]) == SIGNED
    assert Note.parse(SIGNED).encode() == SIGNED


def test_no_byte_of_a_note_can_change():
    for at in range(len(SIGNED)):
        for bit in (1, 0x80):
            broken = SIGNED[:at] + bytes([SIGNED[at] ^ bit]) + SIGNED[at + 1 :]
            with pytest.raises((MalformedNote, SignatureError)):
                open_note(broken, TRUSTED)


def test_no_byte_of_a_note_can_go_missing():
    for at in range(len(SIGNED)):
        with pytest.raises((MalformedNote, SignatureError)):
            open_note(SIGNED[:at], TRUSTED)


def test_unknown_signatures_are_ignored_and_known_ones_are_not():
    old, new, other = (NoteSigner("log.example", bytes([i]) * 32) for i in range(3))
    many = [NoteSigner(f"witness{i}.example", bytes([100 + i]) * 32) for i in range(16)]
    data = sign_note(b"text\n", [*many, old, new])
    for trusted in ([old], [new], [new, old], [other, new], many):
        assert open_note(data, [each.verifier for each in trusted]) == b"text\n"
    with pytest.raises(SignatureError, match="not signed by a trusted key"):
        open_note(data, [other.verifier])
    with pytest.raises(SignatureError, match="no key at all"):
        open_note(data, [])
    note = Note.parse(data)
    assert {each.name for each in note.verified_by(each.verifier for each in (old, new))} == {"log.example"}
    forged = Note(b"other\n", note.signatures).encode()
    with pytest.raises(SignatureError, match=r"log\.example"):
        open_note(forged, [old.verifier])


def test_a_wrong_signature_under_a_trusted_name_is_not_outweighed_by_a_good_one():
    good, bad = NoteSigner("a.example", bytes(32)), NoteSigner("b.example", bytes([1]) * 32)
    note = Note(b"text\n", (good.sign(b"text\n"), bad.sign(b"other\n")))
    with pytest.raises(SignatureError, match=r"b\.example"):
        open_note(note.encode(), [good.verifier, bad.verifier])
    assert open_note(note.encode(), [good.verifier]) == b"text\n"


def test_a_cosignature_of_a_witness_verifies():
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    public = bytes([ED25519_COSIGNATURE]) + key.public_key().public_bytes_raw()
    log = NoteSigner("log.example", bytes([1]) * 32)
    verifier = make_verifier("witness.example", public)
    stamp = (1_700_000_000).to_bytes(8, "big")
    text = b"log.example\n1\n" + base64.b64encode(bytes(32)) + b"\n"
    value = stamp + key.sign(b"cosignature/v1\ntime 1700000000\n" + text)
    note = Note(text, (log.sign(text), log.sign(text).__class__(verifier.name, verifier.key_hash, value)))
    assert note.verified_by([verifier]) == (verifier,)
    assert not verifier.verify(text, value[:7])
    assert not verifier.verify(text, bytes(8) + value[8:])


def make_verifier(name, public):
    key_hash = sha256(name.encode() + b"\n" + public).hexdigest()[:8]
    return NoteVerifier(f"{name}+{key_hash}+{base64.b64encode(public).decode()}")


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        VKEY + "\n",
        SKEY,
    ],
)
def test_only_a_whole_vkey_is_a_key(vkey):
    with pytest.raises(MalformedNote) as caught:
        NoteVerifier(vkey)
    assert "AYEKFALV" not in caught.value.diagnostics()


def test_a_key_of_an_unknown_type_is_named_as_such():
    with pytest.raises(MalformedNote, match="unknown type 0xfe"):
        make_verifier("log.example", b"\xfe" + bytes(32))


@pytest.mark.parametrize(
    "text",
    ["", "PRIVATE+KEY+x", SKEY.replace("c74f20a3", "c74f20a4"), SKEY[:-1], SKEY.replace("PRIVATE", "PUBLIC")],
)
def test_a_broken_private_key_is_refused_and_never_echoed(text):
    with pytest.raises(MalformedNote) as caught:
        NoteSigner.parse(text)
    assert "AYEKFALV" not in caught.value.diagnostics()
    assert "AYEKFALV" not in repr(NoteSigner.parse(SKEY))


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\x1fb", "a\nb"])
def test_a_name_with_spaces_or_pluses_is_refused(name):
    with pytest.raises(MalformedNote):
        NoteSigner(name, bytes(32))


def test_two_trusted_keys_that_look_alike_are_refused():
    verifier = NoteVerifier(VKEY)
    twin = NoteVerifier(VKEY)
    twin.vkey = VKEY.lower()
    with pytest.raises(SignatureError, match="share the name"):
        open_note(SIGNED, [verifier, twin])


def test_a_note_needs_a_text_and_a_signer(signer):
    for text, signers in ((b"text", [signer]), (b"text\n", [])):
        with pytest.raises(LedgerError):
            sign_note(text, signers)
    with pytest.raises(MalformedNote, match="control"):
        sign_note(b"text\t\n", [signer])


def test_a_hostile_note_is_bounded(signer):
    line = signer.sign(b"text\n").line().encode()
    assert open_note(b"text\n\n" + line * 100, [signer.verifier])
    with pytest.raises(MalformedNote, match="101 signatures"):
        Note.parse(b"text\n\n" + line * 101)
    with pytest.raises(MalformedNote, match="over the limit"):
        Note.parse(bytes(1_000_001))


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_text_is_signed_whole_or_refused(name, text):
    try:
        signer = NoteSigner(name, bytes(32))
        data = sign_note(text.encode() + b"\n", [signer])
    except (MalformedNote, UnicodeEncodeError):
        return
    assert open_note(data, [signer.verifier]) == text.encode() + b"\n"


@given(st.binary(max_size=200))
def test_the_parser_takes_back_only_what_it_would_write(data):
    for candidate in (data, TEXT + b"\n" + data, SIGNED + data):
        try:
            note = Note.parse(candidate)
        except MalformedNote:
            continue
        assert note.encode() == candidate
