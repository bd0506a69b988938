# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Run keys: what was punctured can't be worked out, everything else can, and the file is whole or refused."""

from __future__ import annotations

import copy
import hashlib
import hmac
import pickle
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runrecord.ledger import run_keys
from runrecord.ledger.errors import LedgerCorrupt
from runrecord.ledger.puncturable import PuncturablePRF
from runrecord.ledger.run_keys import RunKeys, RunKeysError, RunSecrets, encode, parse, point_of
from runrecord.semconv.commitment import TenantKey

ROOT = bytes(range(32))
TENANT_KEY = TenantKey(b"t" * 32)
LAST = (1 << 64) - 1
_edges = st.sampled_from([0, 1, 2, LAST, LAST - 1, 1 << 63, (1 << 63) - 1])
_near = st.integers(0, 40)
points = st.one_of(_edges, _near, st.integers(0, LAST))


def leaf(point: int) -> bytes:
    """The value of a point, as the docstring of the module has it."""
    node = ROOT
    for place in range(62, -2, -2):
        node = hashlib.sha256(node + bytes([point >> place & 3])).digest()
    return node


def whole() -> PuncturablePRF:
    return PuncturablePRF((), ROOT)


def covered(function: PuncturablePRF) -> set[bytes]:
    return {function.nodes[i : i + 32] for i in range(0, len(function.nodes), 32)}


# --- the function -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "value"),
    [
        (0, "292aba3e7c84ed5fdb69333484c8e509a3fa9b8df7f7f9dabfbff90fdd6ff3ac"),
        (1, "d9ed04755c675490b548df0a20f31e170d8f89208881163a1e1ca1cfb4a9d237"),
        (LAST, "70551f293822a41790baa89c5fa2a250a037fd7006aa8b294176510a6b72a207"),
        (0x0123456789ABCDEF, "fc48b084a07278f6bb608d3e82185cd346ff99794b83ef20efcfdafbc11d9370"),
    ],
)
def test_the_values_are_those_of_other_implementations(point: int, value: str) -> None:
    assert whole().value(point) == bytes.fromhex(value)


@settings(max_examples=50)
@given(st.lists(points, max_size=6), st.lists(points, max_size=6))
def test_what_is_punctured_is_gone_and_everything_else_is_as_before(
    gone: list[int], asked: list[int]
) -> None:
    function = whole().puncture(gone)
    assert function.points == tuple(sorted(set(gone)))
    for point in (*asked, *((p + d) & LAST for p in gone for d in (-1, 1))):
        assert function.value(point) == (None if point in gone else leaf(point))
    for point in gone:
        assert function.value(point) is None


@settings(max_examples=50)
@given(st.lists(points, min_size=1, max_size=5, unique=True))
def test_no_node_that_is_kept_lies_above_a_punctured_point(gone: list[int]) -> None:
    function = whole().puncture(gone)
    kept = covered(function)
    for point in gone:
        node = ROOT
        assert node not in kept
        for place in range(62, -2, -2):
            node = hashlib.sha256(node + bytes([point >> place & 3])).digest()
            assert node not in kept
    assert len(kept) * 32 == len(function.nodes)


@given(st.permutations([3, 5, 4, LAST, 1 << 40, (1 << 40) + 1]), st.integers(0, 6))
def test_any_order_gives_the_same(order: list[int], cut: int) -> None:
    at_once = whole().puncture(order)
    one_by_one = whole()
    for point in order:
        one_by_one = one_by_one.puncture([point])
    in_two = whole().puncture(order[:cut]).puncture(order)
    assert at_once.nodes == one_by_one.nodes == in_two.nodes
    assert at_once.points == one_by_one.points == in_two.points


def test_to_puncture_again_changes_nothing() -> None:
    function = whole().puncture([7])
    assert function.puncture([7]) is function
    assert function.puncture([]) is function


@pytest.mark.parametrize("bad", [(5, 5), (6, 5), (-1,), (1 << 64,)])
def test_points_out_of_order_are_refused(bad: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="point"):
        PuncturablePRF(bad, b"")


def test_secrets_do_not_show_and_do_not_travel() -> None:
    function = PuncturablePRF.generate()
    assert function.nodes != PuncturablePRF.generate().nodes
    assert repr(function) == "PuncturablePRF(hidden)"
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leave(function)


# --- the file -----------------------------------------------------------------------------------------------------


@given(st.lists(points, max_size=5))
def test_a_file_is_read_as_it_was_written(gone: list[int]) -> None:
    function = whole().puncture(gone)
    identity, again = parse(encode(b"i" * 16, function))
    assert (identity, again.points, again.nodes) == (b"i" * 16, function.points, function.nodes)


def test_the_format_stays() -> None:
    data = encode(b"i" * 16, whole().puncture([5]))
    assert data[:42] == b"runrecord-run-keys/v1\n" + b"i" * 16 + b"\0\0\0\1"
    assert len(data) == 42 + 8 + 96 * 32 + 32
    assert (
        hashlib.sha256(data).hexdigest() == "62452a53326b2c9f85677578e034ce5828cbc6b54e7f1da22858d329ceed1b40"
    )


@settings(max_examples=150)
@given(st.integers(0, 41 + 8 + 96 * 32 + 32), st.integers(1, 255), st.booleans())
def test_a_file_of_which_a_byte_differs_is_refused(place: int, flip: int, mend: bool) -> None:
    data = bytearray(encode(b"i" * 16, whole().puncture([5])))
    data[place] ^= flip
    if mend and place < len(data) - 32:
        data[-32:] = hashlib.sha256(data[:-32]).digest()
        try:
            identity, function = parse(bytes(data))
        except ValueError:
            return
        assert encode(identity, function) == bytes(data)  # it is another one, and in its one form
    else:
        with pytest.raises(ValueError, match=r"checksum|version 1|points"):
            parse(bytes(data))


@given(st.binary(max_size=200), st.booleans())
def test_anything_else_is_refused(data: bytes, signed: bool) -> None:
    body = b"runrecord-run-keys/v1\n" + data
    with pytest.raises(ValueError, match=r"it|too"):
        parse(body + hashlib.sha256(body).digest() if signed and len(data) != 16 + 4 + 32 else data)


def test_a_file_that_is_cut_or_longer_is_refused() -> None:
    data = encode(b"i" * 16, whole().puncture([5, 9]))
    for length in range(0, len(data), 7):
        with pytest.raises(ValueError, match=r"^its? "):
            parse(data[:length])
    with pytest.raises(ValueError, match="checksum"):
        parse(data + b"\0")


def test_a_file_may_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(b"i" * 16, whole().puncture([5]))
    monkeypatch.setattr(run_keys, "MAX_FILE", len(data) - 1)
    with pytest.raises(RunKeysError, match="so many runs"):
        encode(b"i" * 16, whole().puncture([5]))
    with pytest.raises(ValueError, match="too long"):
        parse(data)


# --- of a ledger --------------------------------------------------------------------------------------------------


def test_a_key_needs_both_secrets(tmp_path: Path) -> None:
    path = tmp_path / "run.keys"
    path.write_bytes(encode(b"i" * 16, whole()))
    path.chmod(0o600)
    keys = RunKeys(RunSecrets(path), TENANT_KEY)
    key = keys.key("acme", "run-1")
    assert key is not None
    run_key = hmac.digest(b"t" * 32, b"runrecord/run-key/v1\0\0\0\x05run-1", "sha256")
    point = hashlib.sha256(b"\0\0\0\4acme\0\0\0\5run-1").digest()[:8]
    assert point == point_of("acme", "run-1").to_bytes(8, "big")
    mine = hmac.digest(
        leaf(int.from_bytes(point, "big")), b"runrecord/erasable-run-key/v1" + run_key, "sha256"
    )
    assert key.salt("x") == hmac.digest(mine, b"c1\0\0\0\1x", "sha256")
    assert key != RunKeys(RunSecrets(path), TenantKey(b"o" * 32)).key("acme", "run-1")
    assert key != keys.key("", "run-1")
    assert keys.key("acme", "run-1") is key


def test_a_file_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "run.keys"
    made = RunSecrets.make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert RunSecrets.make(path).identity == made.identity
    assert made.identity in repr(made)
    assert made.secret("", "r") is not None
    path.chmod(0o640)
    with pytest.raises(RunKeysError, match="others can read"):
        RunSecrets(path)


def test_an_erased_run_has_no_key_in_any_process(tmp_path: Path) -> None:
    path = tmp_path / "run.keys"
    here, there = RunSecrets.make(path), RunSecrets(path)
    keys = RunKeys(here, TENANT_KEY)
    kept = keys.key("", "kept")
    assert keys.key("", "gone") is not None
    assert here.puncture([("", "gone")]) == 1
    assert here.puncture([("", "gone")]) == 0
    assert keys.key("", "gone") is None
    assert keys.key("", "kept") == kept
    assert there.puncture([("", "gone-too")]) == 1  # it takes in what the other process has erased
    assert [there.secret("", name) for name in ("gone", "gone-too")] == [None, None]
    again = RunSecrets(path)
    assert (again.version, again.secret("", "gone")) == (2, None)
    assert RunKeys(again, TENANT_KEY).key("", "kept") == kept
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["run.keys", "run.keys.lock"]


def test_what_the_file_held_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "run.keys"
    held = RunSecrets.make(path)
    with path.open("rb") as old:
        before = old.read()
        held.puncture([("", "gone")])
        old.seek(0)
        assert old.read() == bytes(len(before))
    assert before[42:74] not in path.read_bytes()


def test_many_threads_erase(tmp_path: Path) -> None:
    path = tmp_path / "run.keys"
    RunSecrets.make(path)
    everyone = [RunSecrets(path) for _ in range(4)]
    work = [
        threading.Thread(target=held.puncture, args=([("", f"run-{n}-{i}") for i in range(5)],))
        for n, held in enumerate(everyone)
    ]
    for each in work:
        each.start()
    for each in work:
        each.join()
    assert RunSecrets(path).version == 20


def test_a_file_of_another_ledger_is_not_overwritten(tmp_path: Path) -> None:
    path, other = tmp_path / "run.keys", tmp_path / "other"
    held = RunSecrets.make(path)
    RunSecrets.make(other)
    other.replace(path)
    before = path.read_bytes()
    with pytest.raises(RunKeysError, match="another ledger"):
        held.puncture([("", "gone")])
    assert path.read_bytes() == before


@pytest.mark.parametrize("data", [b"", b"runrecord-run-keys/v2\n", b"x" * 100])
def test_a_damaged_file_is_named_with_the_next_step(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "run.keys"
    with pytest.raises(RunKeysError, match="are not in"):
        RunSecrets(path)
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(LedgerCorrupt, match="put the file back"):
        RunSecrets(path)
