# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Entries between the journal and the tiles."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pending:
    """Durable entries that are in no tile yet.

    Attributes:
        first: The index of the first one.
        framed: The entries with their length prefix.
        hashes: Their leaf hashes.
        digests: The digests of their keys.
    """

    first: int
    framed: list[bytes]
    hashes: list[bytes]
    digests: list[bytes]

    @property
    def end(self) -> int:
        """The index behind the last one."""
        return self.first + len(self.hashes)
