# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A log and a witness that share no code with ours: Tessera asks our witness, and aics-witness cosigns for us.

Tessera comes through the ordinary Go module proxy, the witness from the package index, into a directory of its own. Without Go or a
network the tests are skipped; where the environment variable CI is set, they fail instead.
"""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.note import NoteSigner
from runrecord.ledger.tlog_policy import TlogPolicy
from runrecord.ledger.witness import cosign

pytestmark = [pytest.mark.go, pytest.mark.timeout(300)]
HERE = Path(__file__).parent
OFFLINE = (
    "dial tcp",
    "no such host",
    "connection refused",
    "Forbidden",
    "error sending request",
    "dns error",
)


def unless_offline(done, what):
    if done.returncode and any(each in done.stderr for each in OFFLINE):
        pytest.skip(f"{what} could not be downloaded: {done.stderr[-300:]}")
    assert not done.returncode, done.stderr


@pytest.fixture(scope="session")
def tessera(tmp_path_factory):
    go = shutil.which("go")
    if not go:
        pytest.skip("the Go toolchain is not installed (https://go.dev/dl)")
    program = tmp_path_factory.mktemp("tessera") / "log"
    command = [go, "build", "-o", str(program), "."]
    unless_offline(
        subprocess.run(command, cwd=HERE / "foreign_log", capture_output=True, text=True, check=False),
        "Tessera",
    )
    return program


@pytest.fixture(scope="session")
def aics(tmp_path_factory):
    """The environment of a process that can run it."""
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    target = tmp_path_factory.mktemp("aics")
    # It states Python 3.12 and runs with 3.11 as well; what it depends on beside its own parts is here already.
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--python-version", "3.12"]
    command += ["--target", str(target), "-r", str(HERE / "foreign.txt")]
    unless_offline(subprocess.run(command, capture_output=True, text=True, check=False), "aics-witness")
    return {**os.environ, "PYTHONPATH": str(target)}


def test_a_log_of_tessera_is_cosigned_by_our_witness(tessera, serve, tmp_path):
    signer = NoteSigner("tessera.example/log", b"T" * 32)
    witnesses = [serve("--log", signer.vkey, name=f"w{number}.example") for number in (1, 2)]
    policy = tmp_path / "policy"
    lines = [f"witness w{n} {each.vkey} {each.url}" for n, each in enumerate(witnesses)]
    policy.write_text("\n".join([*lines, "group both all w0 w1", "quorum both", ""]))
    ours = TlogPolicy.parse(policy.read_bytes())
    for count in (1, 40, 300):
        command = [tessera, str(tmp_path / "log"), signer.private_text(), str(policy), str(count)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        checkpoint = Checkpoint.open(done.stdout, [signer.verifier])
        assert checkpoint.size >= count
        assert ours.witnessed(done.stdout).enough


def test_a_witness_of_others_cosigns_for_us(aics, log, fork, tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "aics_witness", *arguments, "--config", str(tmp_path / "w.json")]
        return subprocess.run(command, env=aics, capture_output=True, text=True, check=True).stdout

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    listed = run("init", "--name", "aics.example/w", "--listen", f"127.0.0.1:{port}")
    vkey = next(word for word in listed.split() if word.startswith("aics.example/w+"))
    run("add-log", "--origin", log.origin, "--vkey", log.signer.vkey)
    text = f"log {log.signer.vkey}\nwitness w {vkey} http://127.0.0.1:{port}\nquorum w\n"
    policy = TlogPolicy.parse(text.encode())
    command = [sys.executable, "-m", "aics_witness", "serve", "--config", str(tmp_path / "w.json")]
    with (tmp_path / "log").open("wb") as output:
        process = subprocess.Popen(command, env=aics, stdout=output, stderr=output)
    try:
        while "can't be reached" in str(cosign(log.checkpoint(1), policy, log.prove).failures.get("w", "")):
            assert process.poll() is None, (tmp_path / "log").read_text()
        sizes = {}
        for size in (1, 2, 3, 255, 256, 257, 512, 513):
            done = cosign(log.checkpoint(size), policy, log.prove, last=sizes)
            assert (done.enough, done.failures) == (True, {}), size
        new = NoteSigner(
            log.origin, b"N" * 32
        )  # during the overlap of two keys both sign, and the witness knows the old one
        done = cosign(log.checkpoint(520, new, log.signer), policy, log.prove, last=sizes)
        assert (done.enough, done.failures) == (True, {})
        done = cosign(fork.checkpoint(600), policy, fork.prove, last=sizes)
        assert "answered 422" in done.failures["w"].message
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert base64.b64encode(log.checkpoint(520).root).decode() in run("status", "--json")
