# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What is set aside is sealed, durable, bounded, and can be read with the tenant key only."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from runrecord.processors import PolicyError, QuarantineError, Signal
from runrecord.processors.redaction import RedactionPolicy, RedactionQuarantine

KEY = bytes(range(32))
BODY = b"\x0a\x10 card 4111 1111 1111 1111 "


def make(directory: Path, key: bytes = KEY, size: int = 1 << 20) -> RedactionQuarantine:
    return RedactionQuarantine(directory / "set-aside", key, max_bytes=size)


def test_a_request_is_sealed_and_can_be_read_again(tmp_path: Path) -> None:
    quarantine = make(tmp_path)
    path = quarantine.keep(Signal.LOGS, BODY)
    quarantine.keep(Signal.TRACES, BODY * 2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert b"4111" not in b"".join(each.read_bytes() for each in path.parent.iterdir())
    entries = make(tmp_path).entries()
    assert [(entry.signal, quarantine.read(entry)) for entry in entries] == [
        (Signal.LOGS, BODY),
        (Signal.TRACES, BODY * 2),
    ]
    assert sorted(each.suffix for each in path.parent.iterdir()) == [".sealed", ".sealed"]


def test_another_key_a_changed_byte_and_another_signal_read_nothing(tmp_path: Path) -> None:
    quarantine = make(tmp_path)
    path = quarantine.keep(Signal.LOGS, BODY)
    (entry,) = quarantine.entries()
    with pytest.raises(QuarantineError, match="sealed under another tenant key"):
        make(tmp_path, bytes(32)).read(entry)
    with pytest.raises(QuarantineError, match="damaged"):
        quarantine.read(entry._replace(signal=Signal.TRACES))
    sealed = path.read_bytes()
    for broken in (sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:20], b""):
        path.write_bytes(broken)
        with pytest.raises(QuarantineError, match="damaged"):
            quarantine.read(entry)


def test_a_full_one_refuses(tmp_path: Path) -> None:
    quarantine = make(tmp_path, size=200)
    quarantine.keep(Signal.LOGS, BODY)
    with pytest.raises(QuarantineError, match="the quarantine is full: 1 requests"):
        quarantine.keep(Signal.LOGS, BODY * 5)
    (entry,) = quarantine.entries()
    entry.path.unlink()
    quarantine.keep(Signal.LOGS, BODY * 3)


def test_a_directory_that_others_can_read_is_refused(tmp_path: Path) -> None:
    quarantine = make(tmp_path)
    quarantine.directory.mkdir(mode=0o755)
    quarantine.directory.chmod(0o755)
    with pytest.raises(QuarantineError, match="chmod 700"):
        quarantine.keep(Signal.LOGS, BODY)


def test_one_that_cannot_be_written_refuses(tmp_path: Path) -> None:
    (tmp_path / "set-aside").write_text("a file")
    with pytest.raises(QuarantineError, match="cannot be written"):
        make(tmp_path).keep(Signal.LOGS, BODY)


def test_a_policy_without_directory_or_key_has_none(tmp_path: Path) -> None:
    policy = RedactionPolicy.parse({"on_error": "quarantine", "quarantine": {"max_size_mib": 1}})
    with pytest.raises(PolicyError, match="name a directory"):
        RedactionQuarantine.make(policy, KEY)
    with pytest.raises(PolicyError, match="needs the tenant key"):
        RedactionQuarantine.make(policy, None, tmp_path)
    assert RedactionQuarantine.make(RedactionPolicy(), None) is None
    made = RedactionQuarantine.make(policy, KEY, tmp_path / "default")
    assert made is not None
    assert made.directory == tmp_path / "default"
    assert KEY.hex() not in repr(made)
