# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A process that appends to a log until it is killed, and tells each entry that was acknowledged.

Run as ``python writer.py LOCATION NAME``; prints one line ``index key`` per entry once ``append`` has returned. Every third batch
holds entries that other writers append too.
"""

from __future__ import annotations

import random
import sys

from runrecord.ledger import Log, NoteSigner


def leaf_of(key: bytes) -> bytes:
    """Return the leaf that goes with a key: up to about 600 bytes that depend on it."""
    return key + b" " + b"x" * (sum(key) % 600)


def key_of(leaf: bytes) -> bytes:
    """Return the key of a leaf."""
    return leaf.split(b" ")[0]


def main() -> None:
    location, name = sys.argv[1:]
    choose = random.Random(name)
    signer = NoteSigner("example.com/agents", bytes(range(32)))
    with Log.open(location, signer=signer, checkpoint_interval=0.02, key_of=key_of) as log:
        for batch in range(1_000_000):
            owner = name if batch % 3 else "everyone"
            keys = [f"{owner}/{batch}/{i}".encode() for i in range(choose.choice((1, 2, 30, 300)))]
            results = log.append([(key, leaf_of(key)) for key in keys])
            lines = (f"{each.index} {key.decode()}\n" for each, key in zip(results, keys, strict=True))
            sys.stdout.write("".join(lines))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
