# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Trust policies (C2SP tlog-policy): which logs are trusted, and which witnesses have to have cosigned."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from runrecord.ledger import cosignature
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.errors import MalformedNote, MalformedPolicy
from runrecord.ledger.note import Note, NoteVerifier

_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_BLANK: Final = re.compile(rb"[ \t]+")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")
_NONE: Final = "none"
_MAX_SIZE: Final = 1 << 20
_FIXED_WORDS: Final = {"log": (2, 3), "witness": (3, 4), "quorum": (2, 2)}
_GROUP_WORDS: Final = 4


@dataclass(frozen=True)
class Peer:
    """A log or a witness of a policy.

    Attributes:
        verifier: Its key.
        url: Where it is, or empty; of a witness, the prefix for submissions.
    """

    verifier: NoteVerifier
    url: str = ""


@dataclass(frozen=True)
class Group:
    """So many of some witnesses or groups.

    Attributes:
        threshold: How many.
        members: Of these names.
    """

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Witnessed:
    """What the witnesses of a policy say of a checkpoint.

    Attributes:
        times: Name in the policy to the time of the cosignature, in seconds since the epoch.
        enough: Whether they make the quorum.
    """

    times: Mapping[str, int]
    enough: bool


@dataclass(frozen=True)
class TlogPolicy:
    """A policy.

    Attributes:
        logs: The logs that are trusted.
        witnesses: The witnesses, by their names in the policy.
        groups: The groups, by name.
        quorum: Name of the witness or group that must have witnessed, or ``none``.
    """

    logs: tuple[Peer, ...] = ()
    witnesses: Mapping[str, Peer] = field(default_factory=dict[str, Peer])
    groups: Mapping[str, Group] = field(default_factory=dict[str, Group])
    quorum: str = _NONE

    @classmethod
    def parse(cls, data: bytes) -> TlogPolicy:
        """Read a policy file.

        Raises:
            MalformedPolicy: If it is not one; the message names the line.
        """
        if len(data) > _MAX_SIZE:
            raise MalformedPolicy(f"a policy of {len(data)} bytes is over the limit of {_MAX_SIZE}")
        reader = _Reader()
        for number, line in enumerate(data.split(b"\n"), 1):
            if match := _CONTROL.search(line):
                raise MalformedPolicy(f"line {number} of the policy has the control character {match[0]!r}")
            # Octets that are not ASCII are opaque.
            words = [word.decode("utf-8", "surrogateescape") for word in _BLANK.split(line) if word]
            if words and not words[0].startswith("#"):
                try:
                    reader.read(words)
                except MalformedNote as error:
                    raise MalformedPolicy(
                        f"line {number} of the policy: {error.message}", error.next_step
                    ) from None
        if reader.quorum is None:
            raise MalformedPolicy(
                "the policy has no line 'quorum NAME'", "add one; 'quorum none' wants no witness"
            )
        return cls(tuple(reader.logs), reader.witnesses, reader.groups, reader.quorum)

    def witnessed(self, note: bytes) -> Witnessed:
        """Return who cosigned a checkpoint, and whether it is enough; the log's own signature is not looked at.

        Args:
            note: The checkpoint, with all its signature lines. A wrong line under the name of a witness counts as none.

        Raises:
            MalformedNote: If it is not a signed note.
            MalformedCheckpoint: If it is not a checkpoint.
        """
        parsed = Note.parse(note)
        Checkpoint.parse_body(parsed.text)
        times: dict[str, int] = {}
        for name, witness in self.witnesses.items():
            key = witness.verifier
            for line in parsed.signatures:
                if (line.name, line.key_hash) != (key.name, key.key_hash):
                    continue
                if (parts := cosignature.split(line.value)) and key.verify(parsed.text, line.value):
                    times[name] = max(times.get(name, 0), parts[0])
        return Witnessed(times, self.is_met_by(times))

    def is_met_by(self, witnesses: Iterable[str]) -> bool:
        """Return whether these witnesses make the quorum."""
        if self.quorum == _NONE:
            return True
        met = set(witnesses)
        for name, group in self.groups.items():  # members come before their group
            if len(met & set(group.members)) >= group.threshold:
                met.add(name)
        return self.quorum in met


class _Reader:
    """The lines so far."""

    def __init__(self) -> None:
        self.logs: list[Peer] = []
        self.witnesses: dict[str, Peer] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._keys: dict[str, set[bytes]] = {"log": set(), "witness": set()}
        self._taken: set[str] = set()

    def read(self, words: list[str]) -> None:
        kind, count = words[0], len(words)
        least, most = _FIXED_WORDS.get(kind, (_GROUP_WORDS, count) if kind == "group" else (0, 0))
        if not most:
            raise MalformedNote(
                f"{kind!r} is no kind of line", "a line begins with log, witness, group or quorum"
            )
        if not least <= count <= most:
            raise MalformedNote(f"a line {kind!r} does not have {count} words", _FORMS[kind])
        getattr(self, f"_{kind}")(*words[1:])

    def _log(self, vkey: str, url: str = "") -> None:
        self.logs.append(Peer(self._key("log", vkey), url))

    def _witness(self, name: str, vkey: str, url: str = "") -> None:
        self._define(name)
        self.witnesses[name] = Peer(self._key("witness", vkey), url)

    def _group(self, name: str, threshold: str, *members: str) -> None:
        for member in members:
            if member not in self.witnesses and member not in self.groups:
                raise MalformedNote(f"{member!r} is no witness or group of a line before")
            if member in self._taken:
                raise MalformedNote(f"{member!r} is in a group already")
            self._taken.add(member)
        number = {"all": len(members), "any": 1}.get(threshold)
        if number is None:
            number = int(threshold) if _NUMBER.fullmatch(threshold) else 0
        if not 1 <= number <= len(members):
            raise MalformedNote(
                f"{threshold!r} is no threshold for {len(members)} members",
                "write all, any, or a number up to that of the members",
            )
        self._define(name)
        self.groups[name] = Group(number, members)

    def _quorum(self, name: str) -> None:
        if self.quorum is not None:
            raise MalformedNote("it is the second line 'quorum'")
        if name != _NONE and name not in self.witnesses and name not in self.groups:
            raise MalformedNote(f"{name!r} is no witness or group of a line before")
        self.quorum = name

    def _define(self, name: str) -> None:
        if name == _NONE or name in self.witnesses or name in self.groups:
            raise MalformedNote(f"the name {name!r} is taken")

    def _key(self, kind: str, vkey: str) -> NoteVerifier:
        verifier = NoteVerifier(vkey)
        if verifier.is_witness != (kind == "witness"):
            raise MalformedNote(f"the key named {verifier.name!r} is not of the sort that a {kind} has")
        if verifier.public in self._keys[kind]:
            raise MalformedNote(f"the key named {verifier.name!r} is there already")
        self._keys[kind].add(verifier.public)
        return verifier


_FORMS: Final = {
    "log": "write: log VKEY [URL]",
    "witness": "write: witness NAME VKEY [URL]",
    "group": "write: group NAME all|any|NUMBER MEMBER...",
    "quorum": "write: quorum NAME",
}
