# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which keys a verifier trusts, and the key that signs bundles.

A trust file has one key per line, ``log VKEY`` or ``bundle VKEY``; lines that start with ``#`` are comments. The bundle
key is separate from the log key: whoever may write reports can't sign checkpoints.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runrecord.ledger.errors import LedgerError, LedgerReadOnly, MalformedNote
from runrecord.ledger.files import sync_directory
from runrecord.ledger.note import ED25519, NoteSigner, NoteVerifier
from runrecord.ledger.stores.base import PUBLIC_KEY
from runrecord.ledger.stores.location import Location, open_store

_STATE = ".state"


@dataclass(frozen=True)
class Trust:
    """Keys that a verifier was given by another way than the bundle.

    Attributes:
        log: Keys that may sign checkpoints.
        bundle: Keys that may sign bundles.
    """

    log: tuple[NoteVerifier, ...] = ()
    bundle: tuple[NoteVerifier, ...] = ()

    def __bool__(self) -> bool:
        """Return whether there is a key of both sorts; with one alone nothing can be verified."""
        return bool(self.log and self.bundle)

    def __or__(self, other: Trust) -> Trust:
        """Return the keys of both."""
        return Trust(self.log + other.log, self.bundle + other.bundle)

    def text(self) -> str:
        """Return the trust file."""
        lines = [f"log {key.vkey}" for key in self.log] + [f"bundle {key.vkey}" for key in self.bundle]
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def of(cls, log: tuple[str, ...] = (), bundle: tuple[str, ...] = ()) -> Trust:
        """Return the trust in keys given as text.

        Raises:
            MalformedNote: One of them is not an Ed25519 verifier key.
        """
        return cls(tuple(map(_verifier, log)), tuple(map(_verifier, bundle)))

    @classmethod
    def parse(cls, text: str) -> Trust:
        """Read a trust file.

        Raises:
            MalformedNote: A line is not of the form above.
        """
        keys: dict[str, list[str]] = {"log": [], "bundle": []}
        for number, line in enumerate(text.splitlines(), 1):
            word, _, key = line.strip().partition(" ")
            if not word or word.startswith("#"):
                continue
            if word not in keys:
                raise MalformedNote(
                    f"line {number} of the trust file is neither 'log VKEY' nor 'bundle VKEY'",
                    "write one key per line, as 'runrecord bundle' printed them",
                )
            keys[word].append(key.strip())
        return cls.of(tuple(keys["log"]), tuple(keys["bundle"]))

    @classmethod
    def of_ledger(cls, location: Location) -> Trust:
        """Return the keys that a ledger of one's own states; good for whoever trusts its directory or store.

        Raises:
            LedgerError: It states no public keys, or no bundle was made from it on this machine yet.
        """
        store = open_store(location)
        try:
            log = (store.read(PUBLIC_KEY) or b"").decode().split()
            bundle = (store.path / _STATE / "bundle.vkey").read_text().strip()
        except (OSError, UnicodeDecodeError):
            log, bundle = [], ""
        finally:
            store.close()
        if not log or not bundle:
            raise LedgerError(
                f"there are no public keys in {store.locate(_STATE)}",
                "name a ledger from which a bundle was made on this machine",
            )
        return cls.of(tuple(log), (bundle,))


def bundle_signer(directory: str | os.PathLike[str], origin: str, key_file: Path | None = None) -> NoteSigner:
    """Return the bundle key: the one in a file, else the one of the ledger, which is made with mode 0600 if there is none.

    Args:
        directory: The ledger directory.
        origin: Name of its log, from which the key is named.
        key_file: A file that holds a private note key.

    Raises:
        LedgerError: There is no key and none can be made.
        MalformedNote: The file does not hold a private note key.
    """
    state = Path(directory) / _STATE
    path = key_file or state / "bundle.key"
    if (known := _read_key(path)) is not None:
        return _publish(known, state)
    if key_file is not None:
        raise LedgerError(f"there is no bundle key in {key_file}", "name the file that holds the private key")
    signer = NoteSigner.generate(f"{origin}/bundle")
    try:
        descriptor, name = tempfile.mkstemp(dir=state, prefix=".bundle.")  # of mode 0600
        scratch = Path(name)
        with os.fdopen(descriptor, "w") as file:
            file.write(signer.private_text() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(scratch, path)  # unlike rename, fails if another process was faster
        except FileExistsError:
            signer = _read_key(path) or signer
        finally:
            scratch.unlink()
        sync_directory(state)
    except OSError as error:
        raise LedgerReadOnly(
            f"no bundle key can be made in {state}",
            "give one with --key FILE, or make the directory writable",
        ) from error
    return _publish(signer, state)


def _read_key(path: Path) -> NoteSigner | None:
    try:
        return NoteSigner.parse(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerError(
            f"the bundle key in {path} can't be read", "check that it is a private note key that you may read"
        ) from error


def _publish(signer: NoteSigner, state: Path) -> NoteSigner:
    """Write the public half beside the private one, where the directory can be written."""
    public = state / "bundle.vkey"
    with contextlib.suppress(OSError):
        if not public.exists() or public.read_text().strip() != signer.vkey:
            public.write_text(signer.vkey + "\n")
    return signer


def _verifier(vkey: str) -> NoteVerifier:
    verifier = NoteVerifier(vkey)
    if verifier.algorithm != ED25519:
        raise MalformedNote(f"the key named {verifier.name!r} is a witness key, not a log or bundle key")
    return verifier
