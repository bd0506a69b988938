# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Malformed bundles of every kind, made by name from a good one: what verify must refuse, and at which step.

Some are what anybody can make who changes a file, the others what an insider with the bundle key can sign.
"""

from __future__ import annotations

import itertools
import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace

from good_bundle import Files, Good, Malformed
from malformed_archives import archives
from malformed_json import envelopes, statements

from runrecord.ledger.bundle_format import PAYLOAD_TYPE, STATEMENT
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.container import pack
from runrecord.ledger.dsse import pae, seal
from runrecord.ledger.note import CosignatureSigner, NoteSigner
from runrecord.ledger.tiles import frame_entry
from runrecord.ledger.tlog_proof import TlogProof
from runrecord.semconv.canonical import canonical_json


def malformed(good: Good) -> Iterator[Malformed]:
    """Yield all of them."""
    for kinds in (_members, _signatures, archives, statements, envelopes, _notes, _proofs, _entries):
        yield from kinds(good)


def _members(good: Good) -> Iterator[Malformed]:
    """Each member missing, cut, changed, renamed, moved, and each pair of neighbours swapped."""
    names = list(good.files)
    optional = {"disclosures.json", good.name("timestamps/")}
    unread = {
        "README.txt",
        "report.html",
        "policy.txt",
    }  # for people; their digest is signed, not what they say
    for name in names:
        rest = {n: d for n, d in good.files.items() if n != name}
        where = ("container",) if name == STATEMENT else ("contents",)
        yield Malformed(f"without {name}", pack(rest), where)
        if name != STATEMENT and name not in optional:
            yield Malformed(f"without {name}, signed", good.signed(rest), ("contents",))
        data = good.files[name]
        anywhere = ("statement",) if name == STATEMENT else ("contents",)
        deep = ("checkpoint", "time", "history", "inclusion", "disclosures")
        for what, changed in (
            ("empty", b""),
            ("half of", data[: len(data) // 2]),
            ("one byte less of", data[:-1]),
            ("one byte more of", data + b"\n"),
            ("twice", data + data),
            ("not UTF-8 in", data[:5] + b"\xff\xfe" + data[7:]),
        ):
            yield Malformed(f"{what} {name}", pack({**good.files, name: changed}), anywhere)
            if name != STATEMENT and name not in unread and not name.startswith("timestamps/"):
                yield Malformed(f"{what} {name}, signed", good.signed({**good.files, name: changed}), deep)
        yield Malformed(
            f"{name} in another case", pack({**rest, name.swapcase(): data}), (*where, "container")
        )
        yield Malformed(f"{name} in a directory", pack({**rest, f"more/{name}": data}), where)
        yield Malformed(f"{name} and a copy", pack({**good.files, f"{name}.1": data}), ("contents",))
        if name != STATEMENT:
            yield Malformed(
                f"{name} and a copy, signed", good.signed({**good.files, f"{name}.1": data}), ("contents",)
            )
    for one, other in itertools.pairwise(names):
        swapped = {**good.files, one: good.files[other], other: good.files[one]}
        yield Malformed(f"{one} and {other} swapped", pack(swapped), ("statement", "contents"))


def _signatures(good: Good) -> Iterator[Malformed]:
    payload = canonical_json(good.statement())
    name = good.bundle_key.name
    foreign, namesake = NoteSigner("example.com/foreign", b"f" * 32), NoteSigner(name, b"f" * 32)
    for what, envelope in (
        ("a foreign key", seal(PAYLOAD_TYPE, payload, foreign)),
        ("a foreign key of the same name", seal(PAYLOAD_TYPE, payload, namesake)),
        ("the log key", seal(PAYLOAD_TYPE, payload, good.log_key)),
        ("another payload type", seal("application/json", payload, good.bundle_key)),
        ("an empty payload type", seal("", payload, good.bundle_key)),
    ):
        yield Malformed(f"signed with {what}", pack({**good.files, STATEMENT: envelope}), ("statement",))
    own = json.loads(seal(PAYLOAD_TYPE, payload, good.bundle_key))
    other = json.loads(seal(PAYLOAD_TYPE, payload, namesake))
    keyid = own["signatures"][0]["keyid"]
    bare = b64encode(good.bundle_key.sign(payload).value).decode()
    typed = b64encode(good.bundle_key.sign(pae("text/plain", payload)).value).decode()
    for what, signatures in (
        ("no signature", []),
        ("a wrong signature under the trusted id", [{"keyid": keyid, "sig": other["signatures"][0]["sig"]}]),
        ("a good and a wrong signature", [own["signatures"][0], {"keyid": keyid, "sig": other["signatures"][0]["sig"]}]),
        ("a signature over the bare payload", [{"keyid": keyid, "sig": bare}]),
        ("a signature over another type", [{"keyid": keyid, "sig": typed}]),
        ("an empty signature", [{"keyid": keyid, "sig": ""}]),
        ("a short signature", [{"keyid": keyid, "sig": "AAAA"}]),
        ("a signature without an id", [{"keyid": "", "sig": own["signatures"][0]["sig"]}]),
        ("seventeen signatures", own["signatures"] * 17),
        ("a signature that is a text", ["x"]),
        ("a signature with another member", [{**own["signatures"][0], "more": 1}]),
    ):  # fmt: skip
        envelope = canonical_json({**own, "signatures": signatures})
        yield Malformed(what, pack({**good.files, STATEMENT: envelope}), ("statement",))
    changed = {**good.statement(), "more": 1}
    envelope = canonical_json({**own, "payload": b64encode(canonical_json(changed)).decode()})
    yield Malformed(
        "another payload under the signature", pack({**good.files, STATEMENT: envelope}), ("statement",)
    )


def _notes(good: Good) -> Iterator[Malformed]:
    name = good.name("checkpoints/")
    note = good.files[name]
    text, _, lines = note.decode().rpartition("\n\n")
    origin, size, root = text.split("\n")[:3]
    key = good.log_key
    where = ("checkpoint",)

    def resigned(body: str) -> bytes:
        return body.encode() + b"\n" + key.sign(body.encode()).line().encode()

    witness = CosignatureSigner(key.name, b"l" * 32)
    yield_from: list[tuple[str, bytes]] = [
        ("no signature", text.encode() + b"\n\n"),
        ("no blank line", text.encode() + b"\n" + lines.encode()),
        ("the signature of another text", note.replace(size.encode(), b"1" + size.encode(), 1)),
        ("a cosignature under the name of the log", text.encode() + b"\n\n" + witness.sign(text.encode() + b"\n").line().encode()),
        ("line ends of Windows", note.replace(b"\n", b"\r\n")),
        ("a control character", note.replace(b"\n", b"\x01\n", 1)),
        ("a NUL", note + b"\0"),
        ("not UTF-8", note + b"\xff\n"),
        ("a hundred and one signatures", text.encode() + b"\n\n" + lines.encode() * 101),
        ("a million bytes", note + b"\n" * 1_000_000),
        ("a hyphen for the dash", note.replace("\u2014".encode(), b"-")),
        ("a signature line cut", note[:-5] + b"\n"),
        ("no line feed at the end", note[:-1]),
        ("a leading zero in the size", resigned(f"{origin}\n0{size}\n{root}\n")),
        ("a negative size", resigned(f"{origin}\n-1\n{root}\n")),
        ("a size in other digits", resigned(f"{origin}\n\u0661\n{root}\n")),
        ("a size of a hundred digits", resigned(f"{origin}\n{'9' * 100}\n{root}\n")),
        ("a root that is no base64", resigned(f"{origin}\n{size}\n{'!' * 44}\n")),
        ("a short root", resigned(f"{origin}\n{size}\nAAAA\n")),
        ("two lines", resigned(f"{origin}\n{size}\n")),
        ("an empty line", resigned(f"{origin}\n{size}\n{root}\n\nx\n")),
        ("another origin", resigned(f"example.com/other\n{size}\n{root}\n")),
        ("another size", resigned(f"{origin}\n{int(size) + 1}\n{root}\n")),
        ("another root", resigned(f"{origin}\n{size}\n{b64encode(bytes(32)).decode()}\n")),
    ]  # fmt: skip
    for what, data in yield_from:
        yield Malformed(f"a checkpoint with {what}", good.signed({**good.files, name: data}), where)
    known = good.name("consistency/")
    for what, data in (
        ("nothing", b""), ("another header", good.files[known].replace(b"/v1", b"/v2")), ("no hashes", b"\n".join(good.files[known].split(b"\n")[:3]) + b"\n"),
        ("a hash of zeros", good.files[known].replace(good.files[known].split(b"\n")[3], b64encode(bytes(32)))),
        ("a million lines", good.files[known] + b"A\n" * 1_000_000), ("not ASCII", b"\xff" * 50),
    ):  # fmt: skip
        yield Malformed(
            f"a consistency proof with {what}", good.signed({**good.files, known: data}), ("history",)
        )
    stamp = good.name("timestamps/")
    for what, data in (
        ("nothing", b""),
        ("garbage", b"\x30\x82\xff\xff" + bytes(100)),
        ("long garbage", bytes(200_000)),
        ("text", b"granted"),
    ):
        yield Malformed(f"a time stamp with {what}", good.signed({**good.files, stamp: data}), ("time",))


def _proofs(good: Good) -> Iterator[Malformed]:
    name = good.name("proofs/")
    proof = TlogProof.parse(good.files[name])
    note = proof.checkpoint
    other = Checkpoint("example.com/test", 1, bytes(32)).sign([good.log_key]).note
    data = good.files[name]
    line = data.split(b"\n")[2]
    for what, changed in (
        ("another index", replace(proof, index=proof.index + 1).encode()),
        ("a leading zero in the index", data.replace(b"index ", b"index 0")),
        ("extra data", replace(proof, extra=b"x").encode()),
        ("another checkpoint", replace(proof, checkpoint=other).encode()),
        ("no checkpoint", replace(proof, checkpoint=b"").encode()),
        ("a checkpoint cut off", replace(proof, checkpoint=note[:-1]).encode()),
        ("no hashes", replace(proof, hashes=()).encode()),
        ("a hash less", replace(proof, hashes=proof.hashes[:-1]).encode()),
        ("a hash more", replace(proof, hashes=(*proof.hashes, bytes(32))).encode()),
        ("a hundred hashes", replace(proof, hashes=(bytes(32),) * 100).encode()),
        ("a million hashes", replace(proof, hashes=(bytes(32),) * 1_000_000).encode()),
        ("a hash of zeros", replace(proof, hashes=(bytes(32), *proof.hashes[1:])).encode()),
        ("a short hash", replace(proof, hashes=(bytes(31), *proof.hashes[1:])).encode()),
        ("hashes in another order", replace(proof, hashes=proof.hashes[::-1]).encode()),
        ("a hash without padding", data.replace(line, line.rstrip(b"="))),
        ("a hash in hexadecimal", data.replace(line, proof.hashes[0].hex().encode())),
        ("white space", data.replace(line, line + b" ")),
        ("line ends of Windows", data.replace(b"\n", b"\r\n")),
        ("another version", data.replace(b"@v1", b"@v2")),
        ("not ASCII", b"\xff" + data),
    ):
        yield Malformed(f"a proof with {what}", good.signed({**good.files, name: changed}), ("inclusion",))
    names = sorted(n for n in good.files if n.startswith("proofs/"))
    swapped = {**good.files, names[0]: good.files[names[1]], names[1]: good.files[names[0]]}
    yield Malformed("two proofs swapped", good.signed(swapped), ("inclusion",))
    packed = {n: d for n, d in good.files.items() if not n.startswith("proofs/")}
    for what, data in (
        ("nothing", b""),
        ("garbage", b"\xff" * 1000),
        ("empty proofs", bytes(200)),
        ("a cut", b"\x05\0" + bytes(40)),
    ):
        one_file = {**packed, f"{name.rpartition('/')[0]}.bin": data}
        yield Malformed(f"one file of proofs with {what}", good.signed(one_file), ("inclusion",))


def _entries(good: Good) -> Iterator[Malformed]:
    name = good.name("entries/")
    framed = good.files[name]
    leaves = good.files["entries.jsonl"].splitlines()
    deep = b'{"a":' * 10_000 + b"1" + b"}" * 10_000

    def both(found: list[bytes]) -> Files:
        return {
            **good.files,
            name: b"".join(map(frame_entry, found)),
            "entries.jsonl": b"".join(e + b"\n" for e in found),
        }

    for what, data in (
        ("a length too long", b"\xff\xff" + framed[2:]),
        ("a length too short", b"\0\x01" + framed[2:]),
        ("lengths of nothing", bytes(1000)),
        ("a million entries of nothing", bytes(2_000_000)),
    ):
        yield Malformed(f"entries with {what}", good.signed({**good.files, name: data}), ("inclusion",))
    for what, changed in (
        ("one less", leaves[:-1]), ("one more", [*leaves, leaves[-1]]), ("one twice", [leaves[0], *leaves[:-1]]),
        ("another order", leaves[::-1]), ("one changed", [leaves[0].replace(b"run-0001", b"run-0002"), *leaves[1:]]),
        ("one that is deep", [deep, *leaves[1:]]), ("one that is empty", [b"", *leaves[1:]]), ("none", []),
    ):  # fmt: skip
        yield Malformed(f"entries with {what}", good.signed(both(changed)), ("inclusion",))
    yield Malformed(
        "other lines than entries",
        good.signed({**good.files, "entries.jsonl": b"{}\n" * len(leaves)}),
        ("inclusion",),
    )
    yield Malformed(
        "lines in another order",
        good.signed({**good.files, "entries.jsonl": b"\n".join(leaves[::-1]) + b"\n"}),
        ("inclusion",),
    )
