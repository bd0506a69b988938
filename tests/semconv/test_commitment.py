# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Commitments are stable and keyed, and the key stays secret."""

import base64
import copy
import hashlib
import hmac
import pickle
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.semconv.commitment import (
    LABEL_TOOL_ARGUMENTS,
    RunKey,
    TenantKey,
    commit_with_salt,
    load_tenant_key,
    state_dir,
)
from runrecord.semconv.errors import SemconvError, StateDirectoryError, TenantKeyError

SECRET = bytes(range(100, 132))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give each test a state directory of its own and no key."""
    monkeypatch.delenv("RUNRECORD_KEY", raising=False)
    directory = tmp_path / "state"
    monkeypatch.setenv("RUNRECORD_STATE_DIR", str(directory))
    return directory


def reference(run_id: str, label: str, canonical: bytes) -> str:
    """The derivation as the documentation states it, written out by other means."""

    def mac(key: bytes, message: bytes) -> bytes:
        return hmac.new(key, message, hashlib.sha256).digest()

    def prefixed(text: str) -> bytes:
        return len(text.encode()).to_bytes(4, "big") + text.encode()

    run_key = mac(SECRET, b"runrecord/run-key/v1" + prefixed(run_id))
    return "hmac-sha256:" + mac(mac(run_key, b"c1" + prefixed(label)), canonical).hex()


# Never change these: every ledger ever written depends on them.
GOLDEN = [
    (
        "run-1",
        "tool.arguments",
        {"amount": 80, "order": "A-17"},
        b'{"amount":80,"order":"A-17"}',
        "hmac-sha256:086356e5ef7a801e38a1217b0ad4aac246fee2304035219d72c097ada88c80c1",
    ),
    (
        "run-1",
        "tool.result",
        None,
        b"null",
        "hmac-sha256:2e55ba4e5fcb0c9dcb5bcae9e249ac7b0f60ab80231a8b4551792d2e82d193f0",
    ),
    (
        "r\u00fcn",
        "message",
        "\u20ac\U0001f600",
        '"\u20ac\U0001f600"'.encode(),
        "hmac-sha256:436881db495afa191e35a9531818c607bb6334093b2313071cde499dac6e9aae",
    ),
]


@pytest.mark.parametrize(("run_id", "label", "value", "canonical", "digest"), GOLDEN)
def test_golden_vectors(run_id: str, label: str, value: object, canonical: bytes, digest: str) -> None:
    assert TenantKey(SECRET).run_key(run_id).commit(label, value) == digest
    assert reference(run_id, label, canonical) == digest


def test_run_label_and_key_all_matter_and_cannot_run_into_each_other() -> None:
    key = TenantKey(SECRET)
    digests = {
        key.run_key("ab").commit("c", 1),
        key.run_key("a").commit("bc", 1),
        key.run_key("ab").commit("", 1),
        key.run_key("ab").commit("c", "1"),
        TenantKey(SECRET + b"x").run_key("ab").commit("c", 1),
    }
    assert len(digests) == 5


def test_a_disclosed_salt_checks_one_label_only() -> None:
    run = TenantKey(SECRET).run_key("run-1")
    salt = run.salt("tool.arguments")
    assert commit_with_salt(salt, {"a": 1}) == run.commit("tool.arguments", {"a": 1})
    assert commit_with_salt(salt, {"a": 1}) != run.commit("tool.result", {"a": 1})


@given(
    st.text(), st.text(), st.dictionaries(st.text() | st.integers(), st.floats() | st.binary() | st.text())
)
def test_committing_never_raises(run_id: str, label: str, value: object) -> None:
    digest = TenantKey(SECRET).run_key(run_id).commit(label, value)
    assert len(bytes.fromhex(digest.removeprefix("hmac-sha256:"))) == 32


CHILD = (
    "from runrecord.semconv.commitment import *;"
    "print(load_tenant_key().run_key('run-1').commit('tool.arguments', {'b': [1, 2.5], 'a': None}))"
)


def test_processes_that_start_at_once_make_one_key_and_agree(environment: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True) for _ in range(6)
    ]
    digests = {child.communicate(timeout=60)[0] for child in children}
    assert [child.returncode for child in children] == [0] * 6
    assert digests == {
        load_tenant_key().run_key("run-1").commit("tool.arguments", {"a": None, "b": [1, 2.5]}) + "\n"
    }
    assert [path.name for path in environment.iterdir()] == ["tenant.key"]
    assert stat.S_IMODE((environment / "tenant.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(environment.stat().st_mode) == 0o700


def test_without_hard_links_the_key_file_is_made_all_the_same(
    monkeypatch: pytest.MonkeyPatch, environment: Path
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    assert load_tenant_key() == load_tenant_key()
    assert [path.name for path in environment.iterdir()] == ["tenant.key"]
    assert stat.S_IMODE((environment / "tenant.key").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        SECRET.hex(),
        SECRET.hex().upper(),
        f"  {SECRET.hex()}\n",
        base64.b64encode(SECRET).decode(),
        base64.b64encode(SECRET).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET).decode(),
    ],
)
def test_the_variable_takes_hexadecimal_and_base64(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    monkeypatch.setenv("RUNRECORD_KEY", text)
    assert load_tenant_key(create=False) == TenantKey(SECRET)
    file = tmp_path / "mounted"
    file.write_text(text)
    monkeypatch.setenv("RUNRECORD_KEY", f"file:{file}")
    assert load_tenant_key(create=False) == TenantKey(SECRET)


@pytest.mark.parametrize(
    "value",
    [
        "hunter2-hunter2-hunter2",
        SECRET.hex()[:62],
        SECRET.hex() + "zz!",
        "\u20ac" * 40,
        "file:",
    ],
)
def test_a_bad_variable_is_named_and_never_echoed(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("RUNRECORD_KEY", value)
    with pytest.raises(TenantKeyError) as caught:
        load_tenant_key()
    message = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=False).format()
    )
    assert "RUNRECORD_KEY" in str(caught.value)
    assert "make one with" in str(caught.value) or "check the path" in str(caught.value)
    assert value.removeprefix("file:")[:12] not in message or value == "file:"
    assert caught.value.__cause__ is None


def test_a_missing_or_binary_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RUNRECORD_KEY", f"file:{tmp_path / 'nowhere'}")
    with pytest.raises(TenantKeyError, match="nowhere: No such file"):
        load_tenant_key()
    (tmp_path / "raw").write_bytes(b"\xff" * 32)
    monkeypatch.setenv("RUNRECORD_KEY", f"file:{tmp_path / 'raw'}")
    with pytest.raises(TenantKeyError, match="holds no text"):
        load_tenant_key()


def test_no_key_is_made_where_none_is_wanted(environment: Path) -> None:
    with pytest.raises(TenantKeyError, match="RUNRECORD_KEY is not set"):
        load_tenant_key(create=False)
    assert not environment.exists()


def test_a_key_file_that_others_can_read_is_refused(environment: Path) -> None:
    load_tenant_key()
    (environment / "tenant.key").chmod(0o640)
    with pytest.raises(TenantKeyError, match="chmod 600"):
        load_tenant_key()


def test_a_directory_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RUNRECORD_STATE_DIR", str(tmp_path / "file" / "below"))
    with pytest.raises(TenantKeyError, match="set RUNRECORD_KEY"):
        load_tenant_key()


@pytest.mark.parametrize("key", [TenantKey(SECRET), TenantKey(SECRET).run_key("run-1")])
def test_keys_do_not_show(key: TenantKey | RunKey) -> None:
    for text in (repr(key), str(key), f"{key!r}", repr([key]), repr(vars(type(key)))):
        assert SECRET.hex() not in text
        assert repr(SECRET)[2:-1] not in text
    assert repr(key) == f"{type(key).__name__}(hidden)"
    assert not hasattr(key, "__dict__")
    with pytest.raises(TypeError, match="can't be pickled") as caught:
        pickle.dumps(key)
    assert SECRET.hex() not in str(caught.value)
    assert copy.deepcopy({"key": key})["key"] is key
    assert copy.copy(key) is key


def test_keys_compare_by_content() -> None:
    assert TenantKey(SECRET) == TenantKey(SECRET)
    assert TenantKey(SECRET) != TenantKey(SECRET[::-1])
    assert TenantKey(SECRET) != RunKey(SECRET)
    assert TenantKey(SECRET) != SECRET
    assert len({TenantKey(SECRET), TenantKey(SECRET)}) == 1
    assert (
        TenantKey(SECRET).fingerprint == TenantKey(SECRET).fingerprint != TenantKey(SECRET[::-1]).fingerprint
    )


def test_a_short_key_is_refused() -> None:
    with pytest.raises(SemconvError, match="at least 32 bytes"):
        TenantKey(b"short")


def test_state_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: Path) -> None:
    assert state_dir() == environment
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RUNRECORD_STATE_DIR", "~/here")
    assert state_dir() == tmp_path / "here"
    monkeypatch.delenv("RUNRECORD_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state")
    assert state_dir() == Path("/var/state/runrecord")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_dir() == tmp_path / ".local" / "state" / "runrecord"


def test_no_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNRECORD_STATE_DIR", "~no-such-user-here/state")
    with pytest.raises(StateDirectoryError, match="RUNRECORD_STATE_DIR"):
        state_dir()


def test_the_labels_are_the_agreed_ones() -> None:
    assert LABEL_TOOL_ARGUMENTS == "tool.arguments"


def test_the_pseudonym_key_is_its_own_and_the_same_in_every_process() -> None:
    key = TenantKey(bytes(range(32)))
    assert key.pseudonym_key() == TenantKey(bytes(range(32))).pseudonym_key()
    assert len(key.pseudonym_key()) == 32
    assert key.pseudonym_key() not in {key.run_key("").salt(""), bytes(range(32))}
    assert (
        key.pseudonym_key().hex()
        == hmac.digest(bytes(range(32)), b"runrecord/pseudonym-key/v1", "sha256").hex()
    )
