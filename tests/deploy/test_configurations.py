# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The configurations and manifests of deploy/, read by the programs that read them in use."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import debian
import pytest
import yaml
from certificates import Authority

from runrecord.collector import load_config

DEPLOY = Path(__file__).parents[2] / "deploy"
CONFIGURATIONS = {
    "gateway": (DEPLOY / "gateway" / "runrecord.yaml").read_text(),
    **{
        f"kubernetes {name}": document["data"]["runrecord.yaml"]
        for name in ("gateway", "sidecar")
        for document in yaml.safe_load_all((DEPLOY / "kubernetes" / f"{name}.yaml").read_text())
        if document["kind"] == "ConfigMap"
    },
    **{path.parent.name: path.read_text() for path in DEPLOY.glob("collector/*/runrecord.yaml")},
}


@pytest.fixture(scope="module")
def etc(tmp_path_factory):
    """A directory for /etc/runrecord, with certificates and tokens of a test."""
    root = tmp_path_factory.mktemp("etc")
    for name in ("tls", "ca", "secret"):
        (root / name).mkdir()
    authority = Authority(root / "made")
    certificate, key = authority.issue("localhost")
    shutil.copy(certificate, root / "tls" / "tls.crt")
    shutil.copy(key, root / "tls" / "tls.key")
    shutil.copy(authority.ca_file, root / "ca" / "ca.crt")
    (root / "tokens").write_text("t0k3n\n")
    (root / "secret" / "tokens").write_text("t0k3n\n")
    return root


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_gateway_accepts_each_configuration(name, etc, tmp_path):
    file = tmp_path / "runrecord.yaml"
    file.write_text(CONFIGURATIONS[name].replace("/etc/runrecord", str(etc)))
    protocols = load_config(file).receivers.otlp.protocols
    beyond_loopback = name in {"gateway", "kubernetes gateway"}
    assert protocols.grpc.is_protected == beyond_loopback


@pytest.mark.debian
def test_systemd_accepts_the_unit(tmp_path):
    """systemd-analyze complains of what it does not know, and of programs that are missing: those are put there."""
    analyze = shutil.which("systemd-analyze") or debian.unpacked("systemd") / "usr/bin/systemd-analyze"
    program = tmp_path / "runrecord"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "runrecord-gateway.service"
    text = (DEPLOY / "systemd" / unit.name).read_text()
    unit.write_text(text.replace("/opt/runrecord/bin/runrecord", str(program)))
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "runrecord" in line]
    assert (done.returncode, ours) == (0, []), done.stderr
    judged = subprocess.run(
        [analyze, "security", "--offline=true", str(unit)], capture_output=True, text=True, check=False
    )
    exposure = float(judged.stdout.rpartition("service: ")[2].split()[0])
    assert exposure < 3.0, judged.stdout


def test_the_image_starts_what_there_is():
    """No engine runs here that could build it; the linter is in the session `deploy`."""
    text = (DEPLOY / "container" / "Containerfile").read_text()
    entry = next(line for line in text.splitlines() if line.startswith("ENTRYPOINT "))
    assert yaml.safe_load(entry.removeprefix("ENTRYPOINT "))[:2] == ["runrecord", "gateway"]
    root = DEPLOY.parent
    copied = [
        line.split()[1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line
    ]
    assert copied
    assert all((root / path).exists() for path in copied)
    kept = {line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {part for part in kept if (root / part).exists()} == kept
