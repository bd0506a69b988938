# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a witness signs when it cosigns a checkpoint (C2SP tlog-cosignature): the message, and the time in front of the signature."""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Final

ED25519: Final = 0x04
"""Signature type: a timestamped Ed25519 cosignature."""
ML_DSA_44: Final = 0x06
"""Signature type: a timestamped ML-DSA-44 cosignature."""
_TIME: Final = struct.Struct(">Q")
_LABEL: Final = b"subtree/v1\n\0"
_HASH_SIZE: Final = 32
_MAX_NAME: Final = 255
_MAX_TIME: Final = (1 << 63) - 1


def split(signature: bytes) -> tuple[int, bytes] | None:
    """Return the time of a cosignature, in seconds since the epoch, and the bare signature; None if it has none."""
    if len(signature) <= _TIME.size:
        return None
    (time,) = _TIME.unpack_from(signature)
    return (time, signature[_TIME.size :]) if 0 < time <= _MAX_TIME else None


def join(time: int, signature: bytes) -> bytes:
    """Return a cosignature: the time, then the bare signature."""
    return _TIME.pack(time) + signature


def ed25519_message(time: int, text: bytes) -> bytes:
    """Return what is signed: two lines, then the whole text of the checkpoint."""
    return b"cosignature/v1\ntime %d\n" % time + text


def ml_dsa_44_message(name: str, time: int, text: bytes) -> bytes | None:
    """Return what is signed: the ``cosigned_message`` of a whole tree; None if the text is no checkpoint.

    Args:
        name: Of the cosigner's key.
        time: Seconds since the epoch.
        text: The text of the checkpoint; its extension lines are not signed.
    """
    lines = text.split(b"\n")
    try:
        origin, size, root = lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)
    except (IndexError, ValueError, binascii.Error):
        return None
    cosigner = name.encode()
    if not 0 < len(cosigner) <= _MAX_NAME or not 0 < len(origin) <= _MAX_NAME:
        return None
    if size < 0 or len(root) != _HASH_SIZE:
        return None
    return b"".join(
        (
            _LABEL,
            bytes((len(cosigner),)),
            cosigner,
            _TIME.pack(time),
            bytes((len(origin),)),
            origin,
            _TIME.pack(0),
            _TIME.pack(size),
            root,
        )
    )
