# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A real broker of Apache Kafka for the tests: one node in KRaft mode, from Maven Central, on the JDK of the machine.

Maven fetches it once into the user's cache. Tests that use it have the marker ``java``: without a JDK, without Maven, or without a
network for the first download they are skipped; where the environment variable CI is set, they fail instead.
"""

from __future__ import annotations

import base64
import fcntl
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

VERSION = "4.1.1"
_START_SECONDS = 60.0
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>runrecord</groupId><artifactId>tests</artifactId><version>1</version><packaging>pom</packaging>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
<version>{version}</version></dependency></dependencies></project>
"""
_OFFLINE = ("Could not transfer", "Unknown host", "Connect to", "Connection refused", "offline mode")


def jars() -> Path:
    """Return the directory with the broker and all it needs; fetched once on a machine."""
    if not shutil.which("java") or not shutil.which("mvn"):
        pytest.skip("a JDK and Maven are not installed (Debian: default-jdk-headless, maven)")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "runrecord-tests" / "kafka"
    home.mkdir(parents=True, exist_ok=True)
    found = home / VERSION
    with (home / f"{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.exists():
            _fetch(home / f"{VERSION}.part", found)
    return found


def _fetch(work: Path, found: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    (work / "pom.xml").write_text(_POM.format(version=escape(VERSION)))
    command = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={work}/jars"]
    done = subprocess.run(
        [*command, "-DincludeScope=runtime"], cwd=work, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    if done.returncode and any(each in said for each in _OFFLINE):
        pytest.skip(f"Maven could not download the broker: {said[-300:]}")
    assert not done.returncode, said
    (work / "jars").rename(found)
    shutil.rmtree(work)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Broker:
    """One broker; it keeps its ports and its data over `kill` and `start`.

    Attributes:
        home: Its directory.
        properties: More of its configuration; ``{host}`` in a listener stands for an address with a free port.
        port: Of the plain listener.
        tls_port: Of the listener with TLS, if there is one.
    """

    home: Path
    properties: dict[str, str] = field(default_factory=dict[str, str])
    port: int = field(default_factory=_free_port)
    tls_port: int = field(default_factory=_free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Of the plain listener."""
        return f"127.0.0.1:{self.port}"

    @property
    def tls_address(self) -> str:
        """Of the listener with TLS."""
        return f"localhost:{self.tls_port}"

    def start(self) -> Broker:
        """Start it, and return when it answers."""
        if not (self.home / "server.properties").exists():
            self._format()
        self.spawn()
        deadline = time.monotonic() + _START_SECONDS
        while True:
            assert self.process is not None
            assert self.process.poll() is None, (self.home / "log").read_text()[-2000:]
            try:
                self._admin().list_topics(timeout=1)
            except KafkaException:
                assert time.monotonic() < deadline, (self.home / "log").read_text()[-2000:]
            else:
                return self

    def spawn(self) -> None:
        """Start it without waiting."""
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._java("kafka.Kafka", str(self.home / "server.properties")), stdout=log, stderr=log
            )

    def kill(self) -> None:
        """End it as a failure of the machine would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def make_topic(self, name: str, partitions: int, **settings: str) -> str:
        """Make a topic, and return its name."""
        admin: Any = self._admin()
        [made] = admin.create_topics([NewTopic(name, partitions, 1, config=settings)]).values()
        made.result(30)
        return name

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def _java(self, *arguments: str) -> list[str]:
        path = f"{jars()}/*"
        return ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", path, *arguments]

    def _format(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        controller = _free_port()
        tls = f",TLS://localhost:{self.tls_port}" if any("ssl" in name for name in self.properties) else ""
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{controller}{tls}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SASL_SSL",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.home / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
            **self.properties,
        }
        file = self.home / "server.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        cluster = base64.urlsafe_b64encode(bytes(15) + b"\1").decode().rstrip("=")
        subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(file)),
            check=True,
            capture_output=True,
        )
