# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Keyed commitments: what takes the place of arguments, results and messages in spans and in the ledger.

A plain hash of a short value can be guessed; these can't without the tenant key. All keys derive from that one secret, so
that a request and a decision made by two processes, days apart, commit to the same bytes::

    run key    = HMAC-SHA256(tenant key, "runrecord/run-key/v1" || length || run id)
    salt       = HMAC-SHA256(run key, "c1" || length || label)
    commitment = "hmac-sha256:" || hex(HMAC-SHA256(salt, canonical JSON of the value))

with lengths as four bytes, big-endian, and texts in UTF-8. Whoever is given the salt of one label can check the commitments
made under it in that run, and nothing else.

Example:
    >>> key = TenantKey(bytes(32))
    >>> key
    TenantKey(hidden)
    >>> key.run_key("run-1").commit("tool.arguments", {"amount": 5})[:20]
    'hmac-sha256:4484392f'
"""

import base64
import binascii
import contextlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Any, Final, NoReturn

from runrecord.semconv.canonical import canonical_form
from runrecord.semconv.errors import TenantKeyError
from runrecord.semconv.state import STATE_DIR_VARIABLE, state_dir

__all__ = [
    "KEY_VARIABLE",
    "LABEL_ACTOR",
    "LABEL_DIGEST",
    "LABEL_MESSAGE",
    "LABEL_TOOL_ARGUMENTS",
    "LABEL_TOOL_RESULT",
    "RunKey",
    "TenantKey",
    "commit_with_salt",
    "load_tenant_key",
    "read_tenant_key",
    "state_dir",
    "tenant_key_file",
]

KEY_VARIABLE: Final = "RUNRECORD_KEY"
MIN_KEY_BYTES: Final = 32

LABEL_TOOL_ARGUMENTS: Final = "tool.arguments"
"""For the arguments of a tool call, wherever they appear: call, policy decision, approval."""
LABEL_TOOL_RESULT: Final = "tool.result"
LABEL_MESSAGE: Final = "message"
LABEL_ACTOR: Final = "actor"
LABEL_DIGEST: Final = "digest"
"""For a commitment that the app made, in the ledger, which commits to it once more under a key that can be destroyed."""
_LABELS: Final = frozenset(
    {LABEL_TOOL_ARGUMENTS, LABEL_TOOL_RESULT, LABEL_MESSAGE, LABEL_ACTOR, LABEL_DIGEST}
)

_PREFIX: Final = "hmac-sha256:"
_HEX: Final = re.compile(r"[0-9a-fA-F]+\Z")
_MAKE_ONE: Final = "make one with: python -c 'import secrets; print(secrets.token_hex(32))'"


class _Secret:
    """Key bytes that stay out of representations, copies and pickles."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = bytes(key)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(hidden)"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return hmac.compare_digest(self._key, other._key)

    def __hash__(self) -> int:
        return hash(hmac.digest(self._key, b"hash", "sha256"))

    def __copy__(self) -> "_Secret":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Secret":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} can't be pickled; load it again in the other process")


class RunKey(_Secret):
    """The key of one run, 32 bytes; made by :meth:`TenantKey.run_key`."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self._keyed: dict[str, hmac.HMAC] = {}

    def salt(self, label: str) -> bytes:
        """Derive the 32 bytes with which a third party can check commitments under ``label`` in this run."""
        return hmac.digest(self._key, b"c1" + _prefixed(label), "sha256")

    def commit(self, label: str, value: Any) -> str:
        """Commit to ``value``, brought into the JSON domain, under ``label``; never raises for any value."""
        keyed = self._keyed.get(label)
        if keyed is None:
            keyed = hmac.new(self.salt(label), digestmod="sha256")
            if label in _LABELS:  # a label is made up by nobody else, and a cache must not grow
                self._keyed[label] = keyed
        mac = keyed.copy()  # half of the time: a key need not be prepared again
        mac.update(canonical_form(value))
        return _PREFIX + mac.hexdigest()

    def under(self, secret: bytes) -> "RunKey":
        """Derive a key of the same run for which a further secret is needed: whoever destroys that one destroys this key.

        Args:
            secret: 32 bytes.
        """
        return RunKey(hmac.digest(secret, b"runrecord/erasable-run-key/v1" + self._key, "sha256"))

    def derive(self, purpose: str) -> bytes:
        """Derive 32 bytes for another purpose than commitments, such as encryption."""
        return hmac.digest(self._key, b"runrecord/derived/v1" + _prefixed(purpose), "sha256")


class TenantKey(_Secret):
    """The secret that everything else derives from."""

    __slots__ = ()

    def __init__(self, key: bytes) -> None:
        """Take the key bytes.

        Raises:
            TenantKeyError: there are fewer than 32.
        """
        if len(key) < MIN_KEY_BYTES:
            raise TenantKeyError(f"a tenant key needs at least {MIN_KEY_BYTES} bytes; {_MAKE_ONE}")
        super().__init__(key)

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits by which people can tell keys apart; says nothing about the key."""
        return hmac.digest(self._key, b"runrecord/fingerprint/v1", "sha256").hex()[:16]

    def run_key(self, run_id: str) -> RunKey:
        """Derive the key of a run."""
        return RunKey(hmac.digest(self._key, b"runrecord/run-key/v1" + _prefixed(run_id), "sha256"))

    def pseudonym_key(self) -> bytes:
        """Derive the 32 bytes that redaction makes pseudonyms with: the same in the app and in the gateway."""
        return hmac.digest(self._key, b"runrecord/pseudonym-key/v1", "sha256")


def commit_with_salt(salt: bytes, value: Any) -> str:
    """Commit to ``value`` with a disclosed salt; equal to what :meth:`RunKey.commit` gave for the same value."""
    return _PREFIX + hmac.digest(salt, canonical_form(value), "sha256").hex()


def tenant_key_file() -> Path:
    """Name the file that holds the key where ``RUNRECORD_KEY`` is not set."""
    return state_dir() / "tenant.key"


def load_tenant_key(*, create: bool = True) -> TenantKey:
    """Load the tenant key: from ``RUNRECORD_KEY``, else from the key file, which is made where there is none.

    ``RUNRECORD_KEY`` holds at least 32 bytes as hexadecimal digits or else base64 (either alphabet), or ``file:PATH``
    of a file that holds such a text. A text of hexadecimal digits alone is never taken for base64.

    Args:
        create: make the key file, mode 0600, where there is neither a variable nor a file.

    Raises:
        TenantKeyError: the key is malformed, too short, readable by others, can't be read or made, or ``create`` is false
            and there is none.
        StateDirectoryError: there is no state directory to look in.
    """
    value = os.environ.get(KEY_VARIABLE, "").strip()
    if value.startswith("file:"):
        path = Path(value.removeprefix("file:")).expanduser()
        return read_tenant_key(path, f"the file that {KEY_VARIABLE} names")
    if value:
        return TenantKey(_parse(value, KEY_VARIABLE))
    path = tenant_key_file()
    if not path.exists():
        if not create:
            raise TenantKeyError(
                f"there is no tenant key: {KEY_VARIABLE} is not set and {path} does not exist; set {KEY_VARIABLE}, "
                f"or copy the key file of the process that made the records; to {_MAKE_ONE}"
            )
        _make(path)
    text = _read(path, "the key file")
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise TenantKeyError(f"others can read the key file {path}; run: chmod 600 {path}")
    return TenantKey(_parse(text, f"the key file {path}"))


def read_tenant_key(path: Path, where: str = "the key file") -> TenantKey:
    """Read a tenant key from a file that holds it as hexadecimal digits or else base64.

    Args:
        path: The file.
        where: What to call it in an error.

    Raises:
        TenantKeyError: the file can't be read, or holds no key.
    """
    return TenantKey(_parse(_read(path, where), where))


def _parse(text: str, where: str) -> bytes:
    """Decode a key from text; the error says where the text came from and never what it was."""
    text = text.strip()
    if _HEX.match(text) and len(text) % 2 == 0:
        key = bytes.fromhex(text)
    else:
        try:
            padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
            key = base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            # "from None": the cause would carry the text in its traceback's locals.
            raise TenantKeyError(f"{where} is neither hexadecimal nor base64; {_MAKE_ONE}") from None
    if len(key) < MIN_KEY_BYTES:
        raise TenantKeyError(
            f"{where} holds a key of {len(key)} bytes, and {MIN_KEY_BYTES} are needed at least; {_MAKE_ONE}"
        )
    return key


def _read(path: Path, where: str) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise TenantKeyError(
            f"{where}: can't read {path}: {error.strerror}; check the path and its owner"
        ) from None
    except UnicodeDecodeError:
        raise TenantKeyError(
            f"{where}: {path} holds no text; write the key as hexadecimal or base64"
        ) from None


def _make(path: Path) -> None:
    """Make the key file so that it appears complete or not at all; if another process is first, its key stays."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_exclusively(temporary)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        except OSError:
            # No hard links on this file system. This way a reader could, for an instant, see an empty file and say so.
            with contextlib.suppress(FileExistsError):
                _write_exclusively(path)
        finally:
            temporary.unlink()
    except OSError as error:
        raise TenantKeyError(
            f"can't make the key file {path}: {error.strerror}; make its directory writable, or set {STATE_DIR_VARIABLE} "
            f"to a directory that is, or set {KEY_VARIABLE}"
        ) from error


def _write_exclusively(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(secrets.token_hex(MIN_KEY_BYTES) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _prefixed(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    return len(encoded).to_bytes(4, "big") + encoded
