# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""ZIP archives that are not the one form of a bundle: names, headers, sizes, bombs, and data where none belongs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

from good_bundle import Good, Malformed

from runrecord.ledger.container import MAX_CONTENT, pack


def member(
    name: bytes,
    data: bytes,
    *,
    flags: int = 0,
    method: int = 8,
    size: int | None = None,
    crc: int | None = None,
    extra: bytes = b"",
) -> bytes:
    """Return a local header and the data as anybody may write them."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = deflate.compress(data) + deflate.flush() if method == 8 else data
    length = len(data) if size is None else size
    check = zlib.crc32(data) if crc is None else crc
    head = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 20, flags, method, 0, 0x21, check, len(packed), length, len(name), len(extra))  # fmt: skip
    return head + name + extra + packed


def central(local: bytes, offset: int, *, attributes: int = 0o100644 << 16, comment: bytes = b"") -> bytes:
    """Return the entry of the directory for a local header."""
    fields = struct.unpack("<4sHHHHHIIIHH", local[:30])
    name = local[30 : 30 + fields[9]]
    head = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 3 << 8 | 20, *fields[1:10], 0, len(comment), 0, 0, attributes, offset)  # fmt: skip
    return head + name + comment


def end(count: int, size: int, offset: int, comment: bytes = b"") -> bytes:
    """Return the end of the directory."""
    counted = min(count, 0xFFFF)
    return (
        struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, counted, counted, size, offset, len(comment)) + comment
    )


def archive(locals_: list[bytes], **options: Any) -> bytes:
    """Return an archive of members."""
    body, directory = bytearray(), bytearray()
    for local in locals_:
        directory += central(local, len(body), **options)
        body += local
    return bytes(body + directory) + end(len(locals_), len(directory), len(body))


def archives(good: Good) -> Iterator[Malformed]:
    members = [member(name.encode(), data) for name, data in good.files.items()]
    assert archive(members) == good.archive  # else what follows would be refused for the wrong reason
    where = ("container",)

    def more(*added: bytes) -> bytes:
        return archive([*members, *added])

    for name in (
        b"../evil", b"/evil", b"a/../../evil", b"a\\b", b"C:evil", b"a//b", b"a/", b"./a", b".hidden", b"a/.b", b"a\0b", b"",
        b"caf\xc3\xa9", b"\xff\xfe", b"a b", b"a\nb", b"con:", b"x" * 129, b"/".join([b"a"] * 9), b"a" * 70_000,
    ):  # fmt: skip
        added = member(name[:65_535], b"x")
        yield Malformed(f"a file named {name[:20]!r}", more(added), where)
    first = next(iter(good.files))
    yield Malformed("a name twice", more(member(first.encode(), b"x")), where)
    yield Malformed("a name twice, the same data", more(members[0]), where)
    yield Malformed("a name in two cases", more(member(first.upper().encode(), b"x")), where)
    yield Malformed("an encrypted file", more(member(b"x", b"x", flags=1)), where)
    yield Malformed("a strongly encrypted file", more(member(b"x", b"x", flags=0x41)), where)
    yield Malformed("sizes behind the data", more(member(b"x", b"x", flags=8)), where)
    yield Malformed("a name marked as UTF-8", more(member(b"x", b"x", flags=0x800)), where)
    for method in (0, 1, 9, 12, 14, 93, 95, 99, 0xFFFF):
        yield Malformed(f"compression {method}", more(member(b"x", b"x", method=method)), where)
    yield Malformed("a symbolic link", archive(members, attributes=0o120777 << 16), where)
    yield Malformed("a directory bit", archive(members, attributes=0o100644 << 16 | 0x10), where)
    yield Malformed("a comment of a file", archive(members, comment=b"x"), where)
    whole = good.archive
    yield Malformed("a comment of the archive", whole[:-2] + b"\x01\0x", where)
    yield Malformed("data in front", b"#!/bin/sh\n" + whole, where)
    yield Malformed("data behind", whole + b"x", where)
    yield Malformed("another archive behind", whole + whole, where)
    yield Malformed("another archive in front", pack({"a": b"x"}) + whole, where)
    body = sum(map(len, members))
    yield Malformed("data between", whole[:body] + b"x" + whole[body:], where)
    yield Malformed("a wrong checksum", more(member(b"x", b"x", crc=7)), where)
    yield Malformed("a size too small", more(member(b"x", b"x" * 1000, size=10)), where)
    yield Malformed("a size too large", more(member(b"x", b"x", size=10)), where)
    yield Malformed("a size above all limits", more(member(b"x", b"x", size=MAX_CONTENT + 1)), where)
    yield Malformed("a bomb by ratio", more(member(b"x", b"\0" * 50_000_000, size=MAX_CONTENT)), where)
    yield Malformed(
        "a bomb of many files", archive([member(b"f%d" % number, b"") for number in range(65_600)]), where
    )
    zip64 = struct.pack("<HHQQ", 1, 16, 1, 1)
    yield Malformed("an extra field for large sizes", more(member(b"x", b"x", extra=zip64)), where)
    yield Malformed("large sizes announced", more(member(b"x", b"x", size=0xFFFFFFFF, extra=zip64)), where)
    directory = whole[body:-22]
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(whole), 1)
    record = struct.pack(
        "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, len(members), len(members), len(directory), body
    )
    yield Malformed("a large directory announced", whole[:-22] + record + locator + whole[-22:], where)
    yield Malformed("a count that lies", whole[:-22] + end(len(members) + 1, len(directory), body), where)
    yield Malformed("an offset that lies", whole[:-22] + end(len(members), len(directory), body - 1), where)
    yield Malformed("several disks", whole[:-18] + b"\x01\0" + whole[-16:], where)
    overlapping = b"".join(members) + central(members[0], 0) + central(members[0], 0)
    yield Malformed("two entries over one file", overlapping + end(2, len(overlapping) - body, body), where)
    yield Malformed("a directory without files", directory + end(len(members), len(directory), 0), where)
    yield Malformed("files without a directory", whole[:body], where)
    yield Malformed("an empty archive", end(0, 0, 0), where)
    yield Malformed(
        "files in the directory in another order", b"".join(members) + directory[::-1] + whole[-22:], where
    )
    stored = zlib.compressobj(0, zlib.DEFLATED, -15)
    hidden = stored.compress(b"x") + stored.flush() + b"hidden"
    head = struct.pack(
        "<4sHHHHHIIIHH", b"PK\x03\x04", 20, 0, 8, 0, 0x21, zlib.crc32(b"x"), len(hidden), 1, 1, 0
    )
    yield Malformed("data behind the end of a stream", more(head + b"x" + hidden), where)
    for data, what in (
        (b"", "nothing"),
        (b"PK", "two bytes"),
        (b"%PDF-1.7", "a PDF"),
        (b"\x1f\x8b" + bytes(20), "gzip"),
    ):
        yield Malformed(what, data, where)
