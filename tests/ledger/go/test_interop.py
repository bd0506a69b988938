# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Implementations that share no code with ours read our logs: the Go team's sumdb packages, and Tessera's fsck.

They come through the ordinary Go module proxy. Without Go, or without a network for the first download, the tests are skipped;
where the environment variable CI is set, they fail instead.
"""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runrecord.ledger import Ledger, Log, NoteSigner, TlogProof
from runrecord.ledger.administration import carry_out
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.tiles import tiles_of

pytestmark = [pytest.mark.go, pytest.mark.timeout(600)]

SOURCE = Path(__file__).parent
TESSERA = "github.com/transparency-dev/tessera/cmd/fsck@v1.0.4"
SIGNER = NoteSigner("example.com/agents", bytes(range(32)))
NEW = NoteSigner(SIGNER.name, bytes(range(1, 33)))
DAY = 86_400.0
RAGGED = [1, 2, 3, 255, 256, 257, 511, 513, 65_537]


def missing(reason):
    """Skip on a user's machine, fail where the check is the point of the run."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


def go(*arguments, **environment):
    """Run the Go tool in the verifier's module."""
    tool = shutil.which("go")
    if not tool:
        missing("the Go toolchain is not installed (https://go.dev/dl)")
    done = subprocess.run(
        [tool, *arguments],
        cwd=SOURCE,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        if any(
            each in done.stderr for each in ("dial tcp", "no such host", "connection refused", "Forbidden")
        ):
            missing(f"Go could not download what the verifier needs: {done.stderr[-300:]}")
        pytest.fail(done.stderr)


@pytest.fixture(scope="session")
def tlogcheck(tmp_path_factory):
    program = tmp_path_factory.mktemp("tlogcheck") / "tlogcheck"
    go("vet", ".")
    go("build", "-o", str(program), ".")

    def run(directory, *arguments, key=SIGNER):
        return subprocess.run(
            [program, "-dir", directory, "-vkey", key.vkey, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def tessera(tmp_path_factory):
    place = tmp_path_factory.mktemp("tessera")
    key = place / "log.vkey"
    go("install", TESSERA, GOBIN=str(place), GOFLAGS="-mod=mod")

    def accepts(directory, signer=SIGNER):
        key.write_text(signer.vkey)
        # 16 workers: each mismatch ends one, and without any left this fsck waits for ever. Its exit status is 0 either way.
        done = subprocess.run(
            [
                place / "fsck",
                f"--storage_url=file://{directory}/",
                f"--public_key={key}",
                "--ui=false",
                "-N=16",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return "Successfully fsck'd log" in done.stderr

    return accepts


def leaf(index):
    return b"leaf %d " % index + b"x" * (index % 37)


def make(directory, size, *, step=None):
    """Make a log of this size, with a checkpoint after each step."""
    with Log.open(directory, signer=SIGNER, checkpoint_interval=None) as log:
        for start in range(0, size, step or size):
            log.append([(b"%d" % i, leaf(i)) for i in range(start, min(size, start + (step or size)))])
            log.publish()


def make_rotated(directory, size, now):
    """Make a ledger of this size under one key, change to another, and append half as many entries."""
    keys = {"signer": SIGNER, "checkpoint_interval": None, "now": lambda: now[0]}
    with Ledger(directory, **keys) as ledger:
        ledger.append_entries(entries(0, size))
    keys.update(signer=NEW, previous=[SIGNER], overlap=10 * DAY)
    with Ledger(directory, **keys) as ledger:
        ledger.append_entries(entries(size, size + size // 2))


def entries(start, end):
    return [Entry(kind=Kind.STEP, run=f"run {i % 7}", name="step", start=i, end=i) for i in range(start, end)]


def write_proofs(directory, place, indexes, old=None):
    """Write .tlog-proof files, and the consistency proof from an older checkpoint."""
    place.mkdir()
    with Log.open(directory, read_only=True) as log:
        for index in indexes:
            proof = TlogProof(index, tuple(log.inclusion_proof(index)), log.checkpoint.note)
            (place / f"{index}.tlog-proof").write_bytes(proof.encode())
        if old:
            (place / "old").write_bytes(old.note)
            lines = (base64.b64encode(each).decode() + "\n" for each in log.consistency_proof(old.size))
            (place / "consistency").write_text("".join(lines))


@pytest.mark.parametrize("size", RAGGED)
def test_go_accepts_logs_of_every_shape(tlogcheck, tmp_path, size):
    log = tmp_path / "log"
    make(log, max(1, size // 2))
    with Log.open(log, read_only=True) as half:
        old = half.checkpoint
    make(log, size)
    indexes = sorted({0, size - 1, size // 2, *range(0, size, max(1, size // 25))})
    write_proofs(log, tmp_path / "proofs", indexes, old)
    place = tmp_path / "proofs"
    done = tlogcheck(log, "-proofs", place, "-old", place / "old", "-consistency", place / "consistency")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"size={size} " in done.stdout
    assert done.stdout.endswith(f"proofs={len(indexes)}\n")


@pytest.fixture
def recovered(tmp_path):
    """A log that was killed with entries in its write-ahead log only, and opened again."""
    log = tmp_path / "killed"
    script = """
import os, signal, sys
from runrecord.ledger import Log, NoteSigner
signer = NoteSigner("example.com/agents", bytes(range(32)))
leaf = lambda i: b"leaf %d " % i + b"x" * (i % 37)
log = Log.open(sys.argv[1], signer=signer, checkpoint_interval=None)
log.append([(b"%d" % i, leaf(i)) for i in range(300)])
log.publish()
log.append([(b"%d" % i, leaf(i)) for i in range(300, 700)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script, str(log)], check=False)
    assert done.returncode == -signal.SIGKILL
    with Log.open(log, read_only=True) as before:
        assert before.size == 300
    make(log, 800, step=200)
    return log


def test_go_accepts_a_log_that_was_killed_and_recovered(tlogcheck, recovered):
    done = tlogcheck(recovered)
    assert (done.returncode, done.stderr) == (0, "")
    assert "size=800 " in done.stdout


def test_go_refuses_any_file_of_which_a_byte_was_flipped(tlogcheck, recovered):
    for name in ("checkpoint", *map(str, tiles_of(800))):
        path = recovered / name
        data = path.read_bytes()
        path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
        assert tlogcheck(recovered).returncode == 1, name
        path.write_bytes(data)
    assert tlogcheck(recovered).returncode == 0


def test_go_refuses_the_proof_of_another_entry(tlogcheck, tmp_path):
    make(tmp_path / "log", 10)
    write_proofs(tmp_path / "log", tmp_path / "proofs", [3])
    path = tmp_path / "proofs" / "3.tlog-proof"
    path.write_bytes(path.read_bytes().replace(b"index 3", b"index 4"))
    assert tlogcheck(tmp_path / "log", "-proofs", tmp_path / "proofs").returncode == 1


def test_go_refuses_a_log_of_another_key(tlogcheck, tmp_path):
    stranger = NoteSigner(SIGNER.name, bytes(32))
    Log.open(tmp_path / "log", signer=stranger, checkpoint_interval=None).close()
    assert "no verifiable signatures" in tlogcheck(tmp_path / "log").stderr


def test_tessera_accepts_our_logs_and_refuses_a_flipped_byte(tessera, recovered, tmp_path):
    make(tmp_path / "big", 70_000)
    assert tessera(tmp_path / "big")
    assert tessera(recovered)
    bundle = recovered / "tile" / "entries" / "001"
    data = bundle.read_bytes()
    bundle.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert not tessera(recovered)


@pytest.mark.parametrize("size", [1, 255, 513])
def test_others_accept_a_log_whose_key_was_changed(tlogcheck, tessera, tmp_path, size):
    log, now = tmp_path / "log", [1_800_000_000.0]
    make_rotated(log, size, now)
    write_proofs(log, tmp_path / "proofs", {0, size - 1, size})
    for key in (SIGNER, NEW):  # during the overlap
        done = tlogcheck(log, "-proofs", tmp_path / "proofs", key=key)
        assert (done.returncode, done.stderr) == (0, "")
        assert tessera(log, key)
    now[0] += 11 * DAY
    with Ledger(log, signer=NEW, checkpoint_interval=None, now=lambda: now[0]) as ledger:
        ledger.append_entries(entries(size * 2, size * 2 + 1))
    assert "no verifiable signatures" in tlogcheck(log).stderr
    assert tlogcheck(log, key=NEW).returncode == 0
    assert tessera(log, NEW)


@pytest.mark.parametrize("size", [257, 511, 1_300, 65_793])
def test_go_proves_pruned_and_kept_entries_through_the_tiles(tlogcheck, tmp_path, size):
    log, now = tmp_path / "log", [1_800_000_000.0]
    options = {"signer": SIGNER, "checkpoint_interval": None, "now": lambda: now[0], "epochs": "month"}
    with Ledger(log, **options) as ledger:
        for start in range(0, size, 10_000):
            ledger.append_entries(entries(start, min(start + 10_000, size)))
        old = ledger.publish()
        now[0] += 40 * DAY
        ledger.append_entries(entries(size, size + 300))
        now[0] += 40 * DAY
        done = carry_out(ledger, "prune", {"retention": "default=30", "time": str(int(now[0] * 1e9))})
        minimum = ledger.log.pruning.minimum
    assert (int(done["removed"]), minimum) == (minimum // 256, size // 256 * 256)
    indexes = sorted({0, 255, minimum - 1, minimum, size, *range(0, size, size // 20)})
    place = tmp_path / "proofs"
    write_proofs(log, place, indexes, old)
    arguments = ("-proofs", place, "-old", place / "old", "-consistency", place / "consistency")
    checked = tlogcheck(log, "-minimum", str(minimum), *arguments)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert f"pruned={minimum} proofs={len(indexes)}" in checked.stdout
    assert "no such file" in tlogcheck(log, "-minimum", str(minimum - 1)).stderr
    tile = log / "tile" / "0" / "000"
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    assert tlogcheck(log, "-minimum", str(minimum)).returncode == 1
