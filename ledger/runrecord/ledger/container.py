# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The container of a bundle: a ZIP archive in the one form that this module writes, and no other.

Every ZIP tool opens it. Reading accepts only what ``pack`` could have written around the same compressed data: members one after
another from the first byte, fixed times and attributes, no data behind, between or before them. So two readers never see two
different archives, and names, duplicates, links, encryption and sizes need no judgement of their own (APPNOTE.TXT 6.3.10 for the layout).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from typing import Final, NamedTuple

from runrecord.ledger.errors import LedgerError, MalformedError

MAX_ARCHIVE: Final = 256 * 1024 * 1024
"""Longest archive in bytes."""
MAX_CONTENT: Final = 512 * 1024 * 1024
"""Most bytes that all members together may hold."""
MAX_MEMBERS: Final = 65_535
"""Most members; the count field of the format has two bytes."""

_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END: Final = struct.Struct("<4sHHHHIIH")
_VERSION: Final = 20
_MADE_BY: Final = 3 << 8 | _VERSION
_DEFLATE: Final = 8
_DATE: Final = 0x21  # 1980-01-01, the zero of the format
_MODE: Final = 0o100644 << 16
_NAME: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._-]{0,127}){0,7}")


class MalformedBundle(MalformedError):  # noqa: N818 - named as its siblings are
    """Bytes are not a bundle."""


class _Member(NamedTuple):
    name: bytes
    crc: int
    compressed: int
    size: int


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of files, in their order; the same files give the same bytes.

    Raises:
        LedgerError: More or longer files than the format takes.
    """
    body = bytearray()
    members: list[tuple[_Member, int]] = []
    if len(files) > MAX_MEMBERS or sum(map(len, files.values())) > MAX_CONTENT:
        raise LedgerError(
            f"a bundle of {len(files)} files is too large",
            f"the limits are {MAX_MEMBERS} files and {MAX_CONTENT} bytes; keep the ledger directory as evidence instead",
        )
    for name, data in files.items():
        encoded = name.encode()
        if not _NAME.fullmatch(encoded):
            raise LedgerError("a file of a bundle has a name that is not portable")
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        compressed = deflate.compress(data) + deflate.flush()
        member = _Member(encoded, zlib.crc32(data), len(compressed), len(data))
        members.append((member, len(body)))
        body += _local(member) + compressed
    return bytes(body) + _directory(members, len(body))


def unpack(archive: bytes) -> dict[str, bytes]:
    """Return the files of an archive by name, in their order.

    Raises:
        MalformedBundle: It is not the form that ``pack`` writes, or over a limit.
    """
    if not archive.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        raise MalformedBundle("the file is not a ZIP archive")
    if len(archive) > MAX_ARCHIVE:
        raise MalformedBundle(f"the archive has {len(archive)} bytes, more than {MAX_ARCHIVE}")
    members = _members(archive)
    files: dict[str, bytes] = {}
    for member, offset in members:
        data = offset + _LOCAL.size + len(member.name)
        files[member.name.decode("ascii")] = _inflate(archive[data : data + member.compressed], member)
    return files


def _members(archive: bytes) -> list[tuple[_Member, int]]:
    """Return the members and where they are; nothing is unpacked before all of them are known to be within the limits."""
    folded: set[bytes] = set()
    members: list[tuple[_Member, int]] = []
    offset = total = 0
    while archive[offset : offset + 4] == b"PK\x03\x04":
        member = _read_local(archive, offset, len(members))
        total += member.size
        if total > MAX_CONTENT or len(members) >= MAX_MEMBERS:
            raise MalformedBundle("the archive unpacks to more than the limits allow")
        if member.name.lower() in folded:
            raise MalformedBundle(f"the archive holds {member.name.decode('ascii')} twice")
        folded.add(member.name.lower())
        members.append((member, offset))
        offset += _LOCAL.size + len(member.name) + member.compressed
    if archive[offset:] != _directory(members, offset):
        raise MalformedBundle(
            "the archive's directory is not that of its files, or there is data beside them",
            "the archive was changed or packed again by another tool; ask for the original file",
        )
    return members


def _read_local(archive: bytes, offset: int, position: int) -> _Member:
    header = archive[offset : offset + _LOCAL.size]
    if len(header) < _LOCAL.size:
        raise MalformedBundle("the archive ends inside a file header")
    fields = _LOCAL.unpack(header)
    flags, method, crc, compressed, size, length = (
        fields[2],
        fields[3],
        fields[6],
        fields[7],
        fields[8],
        fields[9],
    )
    name = archive[offset + _LOCAL.size : offset + _LOCAL.size + length]
    if not _NAME.fullmatch(name):
        raise MalformedBundle(f"file {position} of the archive has a name that is not portable")
    if flags & 1:
        raise MalformedBundle(f"file {position} of the archive is encrypted")
    member = _Member(name, crc, compressed, size)
    if method != _DEFLATE or header + name != _local(member):
        raise MalformedBundle(
            f"the header of file {position} of the archive is not in canonical form",
            "the archive was changed or packed again by another tool; ask for the original file",
        )
    return member


def _inflate(compressed: bytes, member: _Member) -> bytes:
    inflate = zlib.decompressobj(-15)
    try:
        data = inflate.decompress(compressed, member.size + 1)
    except zlib.error:
        data = None
    whole = data is not None and inflate.eof and not inflate.unused_data and not inflate.unconsumed_tail
    if data is None or not whole or len(data) != member.size or zlib.crc32(data) != member.crc:
        raise MalformedBundle(
            f"{member.name.decode('ascii')} in the archive does not unpack to what its header states"
        )
    return data


def _local(member: _Member) -> bytes:
    head = (b"PK\x03\x04", _VERSION, 0, _DEFLATE, 0, _DATE)
    return _LOCAL.pack(*head, member.crc, member.compressed, member.size, len(member.name), 0) + member.name


def _directory(members: list[tuple[_Member, int]], offset: int) -> bytes:
    central = bytearray()
    for member, place in members:
        head = (b"PK\x01\x02", _MADE_BY, _VERSION, 0, _DEFLATE, 0, _DATE)
        sizes = (member.crc, member.compressed, member.size, len(member.name))
        central += _CENTRAL.pack(*head, *sizes, 0, 0, 0, 0, _MODE, place) + member.name
    count = len(members)
    return bytes(central) + _END.pack(b"PK\x05\x06", 0, 0, count, count, len(central), offset, 0)
