# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The private keys of a log's writer: the newest signs, and until the end of an overlap the ones before it sign too.

Where nobody else keeps them, they are in ``.state/log.key`` on this machine, one a line, the newest first; a last line ``until N`` is
when the old one ceases to sign, for a change that the log has not stated yet.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Final

from runrecord.ledger.errors import LedgerError, MalformedError, MalformedNote
from runrecord.ledger.files import disk_errors, make_directory, write_whole
from runrecord.ledger.note import Note, NoteSigner, NoteVerifier
from runrecord.ledger.rotation import Rotation, parse_rotation, require_both, rotation_name
from runrecord.ledger.stores.base import CHECKPOINT, PUBLIC_KEY, Objects, Store

_log = logging.getLogger(__name__)

OVERLAP_SECONDS: Final = 30 * 86_400.0
"""How long the old key goes on signing, if nobody says otherwise."""
KEEP: Final = (
    "restore the ledger, with its .state, from a copy; keep this one as evidence, and remove nothing from it"
)
_UNTIL: Final = "until "
_NANO: Final = 1_000_000_000
_ROTATED: Final = "set key_file of the exporter to the new key, and previous_key_files to [the old one]; in Python, signer= and previous="


class KeyRotated(LedgerError):  # noqa: N818 - a state of the ledger
    """The key of the log was changed, and this writer does not have the keys that have to sign now."""


def public_keys(store: Objects) -> list[NoteVerifier]:
    """Return the public keys that a store states, the newest first; none if it has no such file.

    Raises:
        MalformedNote: The file does not hold keys.
    """
    data = store.read(PUBLIC_KEY)
    if data is None:
        return []
    try:
        return [NoteVerifier(line) for line in data.decode().split()]
    except (MalformedNote, UnicodeDecodeError) as error:
        raise MalformedNote(
            f"{store.locate(PUBLIC_KEY)} does not hold the public key of a ledger", KEEP
        ) from error


class Keyring:
    """The private keys of a writer, and which of them sign now.

    Args:
        store: Where the log is.
        given: Its keys, the newest first; none reads those on this machine, or makes one for a new log.
        origin: The name of a log that is made; None makes one up.
        now: Seconds since the Unix epoch.
        overlap: Seconds for which an old key goes on signing, where nobody said so when the new one was made.

    Raises:
        KeyRotated: The log has a newer key, or an older one has to sign too.
        MalformedNote: The file does not hold private keys.
        LedgerError: There is no key, or it has another name than the log.
    """

    def __init__(
        self,
        store: Store,
        given: Sequence[NoteSigner],
        origin: str | None,
        *,
        now: Callable[[], float],
        overlap: float = OVERLAP_SECONDS,
    ) -> None:
        self._store = store
        self._given = tuple(given)
        self._origin = origin
        self._now = now
        self._overlap = overlap
        self._path = store.path / ".state" / "log.key"
        self._stated: dict[str, int] = {}  # old key to when it ceases, of changes that the log states
        self._until: int | None = None  # of a change that it does not state yet
        self.signers: tuple[NoteSigner, ...] = ()
        """The keys that sign, the newest first."""
        self.verifiers: tuple[NoteVerifier, ...] = ()
        """Their public halves."""
        self.listed: list[str] = []
        """All public keys that the log has had, as far as its proofs lead, the newest first."""
        self.reload()

    @property
    def is_local(self) -> bool:
        """Whether the keys are kept on this machine, beside the log's state."""
        return not self._given

    @property
    def newest(self) -> NoteSigner:
        """The key of the log."""
        return self.signers[0]

    @property
    def is_due(self) -> bool:
        """Whether the log has to state yet that its key was changed."""
        return len(self.signers) > 1 and self.signers[1].vkey not in self._stated

    @property
    def until(self) -> int:
        """When the key before the newest ceases to sign, nanoseconds since the Unix epoch, if the log does not state it yet."""
        return self._until or int((self._now() + self._overlap) * _NANO)

    def reload(self) -> None:
        """Take in which keys there are, and what the log says of them."""
        found = self._given or self._read()
        if self._origin is not None and found[0].name != self._origin:
            raise LedgerError(
                f"the key of the ledger in {self._store.where} is named {found[0].name!r}, not {self._origin!r}",
                "use one name for the log and its key",
            )
        self._use(self._signing(found))
        if self.is_local and (ended := self._ended()) & {each.vkey for each in found}:
            self._forget([each for each in found if each.vkey not in ended])

    def _ended(self) -> set[str]:
        """Return the keys whose overlap has ended, as the log states."""
        now = self._now() * _NANO
        return {vkey for vkey, until in self._stated.items() if until <= now}

    def _forget(self, kept: Sequence[NoteSigner]) -> None:
        if self.is_local:
            self._write(kept)
        _log.warning(
            "the overlap of two keys of the ledger in %s has ended: only the newest signs%s",
            self._store.where,
            ", and the private half of the old one was removed from this machine" if self.is_local else "",
        )

    def _use(self, signers: Sequence[NoteSigner]) -> None:
        self.signers = tuple(signers)
        self.verifiers = tuple(each.verifier for each in signers)

    def _read(self) -> tuple[NoteSigner, ...]:
        path = self._path
        if not path.exists():
            if self._store.read(CHECKPOINT) is not None:
                raise LedgerError(
                    f"the private key of the ledger in {self._store.where} is not in {path}",
                    "put the file back from a copy, or name it: key_file of the exporter, signer= in Python",
                )
            made = NoteSigner.generate(self._origin or f"runrecord.invalid/{uuid.uuid4().hex[:16]}")
            self._write([made])
            return (made,)
        with disk_errors(path):
            lines = path.read_bytes().decode("utf-8", "replace").splitlines()
        self._until = None
        if len(lines) > 1 and lines[-1].startswith(_UNTIL) and lines[-1][len(_UNTIL) :].isdecimal():
            self._until = int(lines.pop()[len(_UNTIL) :])
        try:
            return tuple(map(NoteSigner.parse, lines or [""]))
        except MalformedNote as error:
            raise MalformedNote(f"{path} does not hold the private key of a ledger", KEEP) from error

    def _write(self, signers: Sequence[NoteSigner], until: int | None = None) -> None:
        lines = [f"{each.private_text()}\n" for each in signers]
        if until is not None:
            lines.append(f"{_UNTIL}{until}\n")
        with disk_errors(self._path.parent):
            make_directory(self._path.parent, 0o700)
        write_whole(self._path, "".join(lines).encode(), 0o600)

    def _signing(self, found: Sequence[NoteSigner]) -> list[NoteSigner]:
        """Return those of some keys that sign, by what the log states of itself."""
        newest = found[0]
        mine = {each.vkey: each for each in found if each.name == newest.name}
        try:
            listed = [each.vkey for each in public_keys(self._store)]
        except (
            MalformedNote
        ):  # the checkpoint decides whether the key is right, and then the file is written anew
            self.listed = [newest.vkey]
            return [newest]
        if newest.vkey in listed[1:]:
            raise KeyRotated(
                f"the key of the ledger in {self._store.where} was changed, and this writer has only the old one",
                _ROTATED,
            )
        signing, self.listed = [newest], [newest.vkey]
        if newest.vkey not in listed:  # the change to it begins now, if it is one
            older, key = listed[:1], newest.verifier
            if not older or older[0] not in mine:
                return signing
        else:
            older, key = listed[1:], newest.verifier
        while older:
            rotation = self._rotation_to(key)
            before = rotation.old.vkey if rotation else older[0]
            if rotation is None:
                if before in mine:
                    signing.append(mine[before])
                    self.listed.append(before)
                break
            self._stated[before] = rotation.until
            self.listed.append(before)
            if self._now() * _NANO < rotation.until:
                if before not in mine:
                    raise KeyRotated(
                        f"the key of the ledger in {self._store.where} was changed, and the old one signs too until "
                        f"{_day(rotation.until)}; this writer does not have it",
                        "add it: previous_key_files of the exporter; in Python, previous=",
                    )
                signing.append(mine[before])
            key, older = rotation.old, older[1:]
        return signing

    def _rotation_to(self, key: NoteVerifier) -> Rotation | None:
        data = self._store.read(rotation_name(key))
        if data is None:
            return None
        try:
            rotation = parse_rotation(data)
            require_both(rotation)
        except LedgerError:  # whatever it is, it states nothing: the change is stated again
            return None
        return rotation if rotation.new.vkey == key.vkey else None

    def add(self, signer: NoteSigner, until: int) -> None:
        """Put a new key before the others, durably; the log has to state it then.

        Args:
            signer: The key.
            until: When the one before ceases to sign, nanoseconds since the Unix epoch.
        """
        self._write([signer, *self.signers], until)
        self._until = until
        self.listed.insert(0, signer.vkey)
        self._use([signer, *self.signers])

    def stated(self, rotation: Rotation) -> None:
        """Note that the log states a change now."""
        self._stated[rotation.old.vkey] = rotation.until
        self._until = None

    def signing(self) -> Sequence[NoteSigner]:
        """Return the keys that sign now; those whose overlap has ended are given up, and their private halves removed from this machine."""
        ended = self._ended()
        kept = [self.newest, *(each for each in self.signers[1:] if each.vkey not in ended)]
        if len(kept) < len(self.signers):
            self._forget(kept)
            self._use(kept)
        return kept

    def has_signed(self, note: bytes) -> bool:
        """Return whether a checkpoint has a line of each key that signs now; the lines are not verified."""
        try:
            lines = {(line.name, line.key_hash) for line in Note.parse(note).signatures}
        except MalformedError:
            return False
        return all((each.name, each.key_hash) in lines for each in self.signing())

    def is_newer(self, note: bytes) -> bool:
        """Return whether a checkpoint has a line of this log's name by a key that is not among these."""
        known = {each.key_hash for each in self.signers}
        return any(
            line.name == self.newest.name and line.key_hash not in known
            for line in Note.parse(note).signatures
        )


def _day(nanoseconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(nanoseconds / _NANO, timezone.utc):%Y-%m-%d %H:%MZ}"
    except (OverflowError, ValueError, OSError):
        return f"{nanoseconds} ns after 1970"
