# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A process that appends to a log until it is killed, and tells each entry that was acknowledged.

Run as ``python writer.py DIRECTORY SEED``; prints one line ``index key`` per entry once ``append`` has returned.
"""

from __future__ import annotations

import random
import sys

from runrecord.ledger import Log, NoteSigner


def leaf_of(key: bytes) -> bytes:
    """Return the leaf that goes with a key: 0 to about 600 bytes that depend on it."""
    return key * (1 + hash_of(key) % 20)


def hash_of(key: bytes) -> int:
    """Return a number that is the same in every process."""
    return sum(key)


def main() -> None:
    directory, seed = sys.argv[1], sys.argv[2]
    choose = random.Random(seed)
    signer = NoteSigner("example.com/agents", bytes(range(32)))
    with Log.open(directory, signer=signer, checkpoint_interval=0.002) as log:
        for batch in range(1_000_000):
            keys = [b"%s/%d/%d" % (seed.encode(), batch, i) for i in range(choose.choice((1, 2, 30, 300)))]
            results = log.append([(key, leaf_of(key)) for key in keys])
            sys.stdout.write(
                "".join(f"{r.index} {key.decode()}\n" for r, key in zip(results, keys, strict=True))
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
