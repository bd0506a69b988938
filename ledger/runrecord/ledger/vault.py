# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""The vault: the values behind the commitments of entries, for whoever wants to open them later. Kept only where it is switched on.

One object for each entry, named ``KIND/RUN/ENTRY``, where RUN and ENTRY are keyed digests: whoever lists the store sees how many
entries of which kind belong together, not of which run. What is in it can be read with the key of the run alone, and so not any more once
the run is erased, whoever has a copy of the store::

    "runrecord-vault/v1\n" || nonce (12) || AES-256-GCM(key, nonce, JSON, additional data: the name)
    key   = the run's key, derived for "vault"
    nonce = first 12 bytes of HMAC-SHA256(the run's key, derived for "vault nonce"; name || 0 || JSON)

The nonce follows from what is encrypted, so that a retry gives the same bytes, and other values never meet the same nonce. The JSON is
``{"omitted": [names], "values": {name: value}}``, the values as entries write them (wrapped as in OTLP/JSON).
"""

from __future__ import annotations

import contextlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.errors import LedgerCorrupt
from runrecord.ledger.files import disk_errors, write_whole
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.opening import opens
from runrecord.ledger.records import Record
from runrecord.ledger.run_keys import RunKeys, RunSecrets
from runrecord.ledger.run_search import RunQuery
from runrecord.ledger.tlog import leaf_hash
from runrecord.ledger.vault_objects import VaultObjects, open_objects
from runrecord.semconv.canonical import canonical_json
from runrecord.semconv.commitment import RunKey, TenantKey

MAX_OBJECT: Final = 4 * 1024 * 1024
"""Bytes of the values of one entry; the longest are left out beyond that."""
STATE: Final = "vault"
"""The file in the ledger's state that says where its vault is."""

DONE: Final = "vault-erased"
"""The file with the number of entries of which all erasures have been carried out in the vault."""

_MAGIC: Final = b"runrecord-vault/v1\n"
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_DIGEST_HEX: Final = 32
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Content:
    """What an entry commits to.

    Attributes:
        entry: The entry.
        key: The key of its run.
        values: Attribute name to value, as entries write it.
    """

    entry: Entry
    key: RunKey
    values: Mapping[str, Any]


@final
class VaultNames:
    """The names of objects; they need the ledger's run secrets, of no run in particular, and so survive erasures.

    Args:
        run_secrets: Those of the ledger.
    """

    def __init__(self, run_secrets: RunSecrets) -> None:
        secret = run_secrets.secret("", "")
        assert secret is not None  # no run has an empty id, so that nobody can erase this one
        self._key = secret

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "VaultNames(hidden)"

    def run(self, tenant: str, run: str) -> str:
        """Return the part of the name that a run's objects share."""
        parts = [text.encode("utf-8", "surrogatepass") for text in (tenant, run)]
        return self._digest(b"run", *(len(part).to_bytes(4, "big") + part for part in parts))

    def entry(self, entry: Entry) -> str:
        """Return the name of the object of an entry; of a conflict, that of the version that came second."""
        kind, digest = entry.kind, ""
        if kind == Kind.CONFLICT:
            kind, digest = entry.detail.get("kind", ""), entry.detail.get("leaf_hash", "")
        digest = digest or leaf_hash(entry.leaf()).hex()
        return f"{kind}/{self.run(entry.tenant, entry.run)}/{self._digest(b'entry', digest.encode())}"

    def _digest(self, what: bytes, *parts: bytes) -> str:
        return hmac.digest(self._key, b"runrecord/vault-name/v1/" + what + b"".join(parts), "sha256").hex()[
            :_DIGEST_HEX
        ]


@final
class Vault:
    """The vault of a ledger. Thread-safe.

    Args:
        objects: Where it is.
        run_secrets: Those of the ledger.
        tenant_key: The secret that the keys of runs derive from, too.
    """

    def __init__(self, objects: VaultObjects, run_secrets: RunSecrets, tenant_key: TenantKey) -> None:
        self._objects = objects
        self._names = VaultNames(run_secrets)
        self._keys = RunKeys(run_secrets, tenant_key)

    def __repr__(self) -> str:
        """Return where it is."""
        return f"<Vault in {self._objects.address!r}>"

    def keep(self, contents: Iterable[Content]) -> None:
        """Keep what entries commit to; when this returns, it survives a crash. To keep it again changes nothing.

        Raises:
            LedgerError: The store can't be written.
        """
        sealed: dict[str, bytes] = {}
        for each in contents:
            name = self._names.entry(each.entry)
            sealed[name] = _seal(each.key, name, each.values)
        self._objects.put(sealed)

    def open(self, entry: Entry) -> dict[str, Any]:
        """Return the values that an entry commits to, each checked against its commitment.

        Returns:
            Attribute name to value, as entries write it; empty if nothing is kept of it, or not any more, or its run was erased.

        Raises:
            LedgerCorrupt: What is kept is not what the entry commits to.
            LedgerError: The store can't be read.
        """
        key = self._keys.key(entry.tenant, entry.run)
        name = self._names.entry(entry)
        data = self._objects.get(name) if key is not None else None
        if key is None or data is None:
            return {}
        values = _unseal(key, name, data)
        if values is None or not all(opens(key, entry, each, value) for each, value in values.items()):
            raise LedgerCorrupt(
                f"what the vault in {self._objects.address} keeps of an entry is not what the entry commits to: {name}",
                "restore the object from a copy; the entry itself is not concerned",
            )
        return values


def vault_of(ledger: Ledger, tenant_key: TenantKey) -> Vault | None:
    """Return the vault of a ledger as its writer on this machine has stated it, None if there is none.

    Raises:
        LedgerError: It can't be opened.
    """
    objects = _objects_of(ledger)
    return None if objects is None else Vault(objects, ledger.run_secrets, tenant_key)


def state_vault(ledger: Ledger, address: str) -> VaultObjects:
    """State where the vault of a ledger is, for commands and for erasures on this machine; return its objects.

    Raises:
        LedgerError: It can't be used.
    """
    objects = open_objects(address)
    path = ledger.path / ".state" / STATE
    data = f"{objects.address}\n".encode()
    with disk_errors(path):
        if not path.exists() or path.read_bytes() != data:
            write_whole(path, data, 0o600)
    return objects


def remove_erased(ledger: Ledger) -> None:
    """Remove what the vault holds of runs that the log says were erased; it can't be read any more as it is.

    Args:
        ledger: Open to write.

    Raises:
        LedgerError: The store can't be reached; what is left is removed the next time.
    """
    objects = _objects_of(ledger)
    if objects is None:
        return
    path = ledger.path / ".state" / DONE
    with disk_errors(path):
        done = path.read_text() if path.exists() else ""
    size = ledger.log.size
    records = ledger.erasures(since=int(done) if done.isdecimal() else 0)
    names = VaultNames(ledger.run_secrets)
    for entry in (record.entry for record in records):
        part = names.run(entry.tenant, entry.run)
        for kind in sorted({_kind(record) for record in ledger.records_of(entry.run)}):
            for name, _ in list(objects.names(f"{kind}/{part}")):
                objects.remove(name)
    if records:
        write_whole(path, b"%d" % size, 0o600)


def _kind(record: Record) -> str:
    entry = record.entry
    return entry.detail.get("kind", "") if entry.kind == Kind.CONFLICT else entry.kind


def expire(ledger: Ledger, days: Mapping[str, int], *, now: float | None = None) -> int:
    """Remove what a vault has kept for long enough, but nothing of a run under a legal hold.

    Args:
        ledger: Open to write.
        days: Kind of entry to the days for which its content is kept; ``default`` is for all others, which without it stay.
        now: Seconds since the Unix epoch; None asks the clock.

    Returns:
        How many objects were removed.

    Raises:
        LedgerError: The store can't be reached.
    """
    objects = _objects_of(ledger)
    if objects is None or not days:
        return 0
    moment = time.time() if now is None else now
    kept: set[str] | None = None
    removed = 0
    for name, since in list(objects.names("")):
        kind, _, rest = name.partition("/")
        limit = days.get(kind, days.get("default"))
        if limit is None or moment - since < limit * _DAY or kind.startswith("."):
            continue
        if kept is None:
            kept = _held(ledger)
        if rest.partition("/")[0] not in kept:
            objects.remove(name)
            removed += 1
    return removed


def _held(ledger: Ledger) -> set[str]:
    """Return the parts of names that the objects of runs under a legal hold share."""
    names = VaultNames(ledger.run_secrets)
    return {
        names.run(record.entry.tenant, summary.run)
        for summary in ledger.each_run(RunQuery(marks=("held",)))
        for record in ledger.records_of(summary.run)
    }


def _objects_of(ledger: Ledger) -> VaultObjects | None:
    path = ledger.path / ".state" / STATE
    with disk_errors(path), contextlib.suppress(FileNotFoundError):
        return open_objects(path.read_text().strip())
    return None


def _seal(key: RunKey, name: str, values: Mapping[str, Any]) -> bytes:
    kept, omitted = dict(values), list[str]()
    plain = _encode(kept, omitted)
    for each in sorted(values, key=lambda each: (-len(canonical_json(values[each])), each)):
        if len(plain) <= MAX_OBJECT:
            break
        del kept[each]
        omitted.append(each)
        plain = _encode(kept, omitted)
    secret = key.derive("vault nonce")
    nonce = hmac.digest(secret, name.encode() + b"\0" + plain, "sha256")[:_NONCE_BYTES]
    return _MAGIC + nonce + AESGCM(key.derive("vault")).encrypt(nonce, plain, name.encode())


def _encode(values: Mapping[str, Any], omitted: Sequence[str]) -> bytes:
    return canonical_json({"omitted": sorted(omitted), "values": dict(values)})


def _unseal(key: RunKey, name: str, data: bytes) -> dict[str, Any] | None:
    """Return the values of an object, None if it is none of this key and name."""
    if not data.startswith(_MAGIC) or len(data) < len(_MAGIC) + _NONCE_BYTES + _TAG_BYTES:
        return None
    nonce, sealed = data[len(_MAGIC) : len(_MAGIC) + _NONCE_BYTES], data[len(_MAGIC) + _NONCE_BYTES :]
    try:
        plain = AESGCM(key.derive("vault")).decrypt(nonce, sealed, name.encode())
        found: dict[str, Any] = json.loads(plain, parse_int=float)  # the only numbers are doubles
    except (InvalidTag, ValueError):
        return None
    values: dict[str, Any] = found["values"]
    return values
