# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A good bundle with its keys, and what anybody can make of it: the ground that malformed ones are made on."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runrecord.ledger.bundle_format import PAYLOAD_TYPE, STATEMENT, digest
from runrecord.ledger.container import pack
from runrecord.ledger.dsse import seal
from runrecord.ledger.note import NoteSigner
from runrecord.semconv.canonical import canonical_json

Files = dict[str, bytes]


@dataclass(frozen=True)
class Good:
    """A good bundle.

    Attributes:
        files: Its members.
        archive: Its bytes.
        log_key: The key of its log; no insider has it.
        bundle_key: The key that signs bundles.
    """

    files: Files
    archive: bytes
    log_key: NoteSigner
    bundle_key: NoteSigner

    def statement(self) -> dict[str, Any]:
        """Return its statement."""
        found: dict[str, Any] = json.loads(b64decode(json.loads(self.files[STATEMENT])["payload"]))
        return found

    def signed(
        self, files: Mapping[str, bytes], change: Callable[[dict[str, Any]], object] = lambda _: None
    ) -> bytes:
        """Return what an insider makes of other files and another statement."""
        statement = self.statement()
        rest = {name: data for name, data in files.items() if name != STATEMENT}
        statement["predicate"]["materials"] = {name: digest(data) for name, data in rest.items()}
        change(statement)
        return pack({STATEMENT: seal(PAYLOAD_TYPE, canonical_json(statement), self.bundle_key), **rest})

    def payload(self, payload: bytes) -> bytes:
        """Return what an insider makes who signs any bytes."""
        return pack({**self.files, STATEMENT: seal(PAYLOAD_TYPE, payload, self.bundle_key)})

    def name(self, start: str) -> str:
        """Return the first member whose name starts so."""
        return min(name for name in self.files if name.startswith(start))


@dataclass(frozen=True)
class Malformed:
    """A bundle that must not pass.

    Attributes:
        name: What is wrong with it.
        archive: Its bytes.
        steps: Where it may be noticed.
    """

    name: str
    archive: bytes
    steps: tuple[str, ...]
