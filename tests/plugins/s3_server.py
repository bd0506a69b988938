# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A real S3 server for the tests: the Versity gateway over a directory, built once on a machine and kept in the user's cache.

It knows conditional puts (``If-None-Match``, ``If-Match``), versions and object lock. It is built from its Go module through the
ordinary module proxy. Tests that use it have the marker ``go``: without Go, or without a network for the first build, they are
skipped; where the environment variable CI is set, they fail instead.

```python
from s3_server import S3Server, s3_program

with S3Server.run(s3_program(), tmp_path) as server:       # ready: it answered
    server.make_bucket("content")                           # or with object_lock=True
    server.options()                                        # what obstore's S3Store takes: endpoint, region, ...
    server.environment()                                    # AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    server.objects("content")                               # the objects of a bucket: name -> bytes
```

The first build outlasts the time limit of a test: give those that use it ``pytest.mark.timeout(BUILD_SECONDS)``, or build first:
``python tests/plugins/s3_server.py``. A cold build took 1.7 minutes of CPU.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest

MODULE = "github.com/versity/versitygw/cmd/versitygw"
VERSION = "v1.8.0"
BUILD_SECONDS = 900
READY_SECONDS = 30.0
REGION = "us-east-1"

_OFFLINE = ("dial tcp", "no such host", "connection refused", "Forbidden", "i/o timeout")
_ACCESS, _SECRET = "tester", "only-for-tests"
_EMPTY = hashlib.sha256(b"").hexdigest()


def s3_program() -> Path:
    """Return the server, built if this machine has none of this version."""
    go = shutil.which("go")
    if not go:
        pytest.skip("the Go toolchain is not installed (https://go.dev/dl)")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "runrecord-tests" / "s3"
    home.mkdir(parents=True, exist_ok=True)
    program = home / f"versitygw-{VERSION}"
    with (home / f"{program.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            done = subprocess.run(
                [go, "install", "-ldflags=-s -w", f"{MODULE}@{VERSION}"],
                env={**os.environ, "GOBIN": str(home), "CGO_ENABLED": "0"},
                capture_output=True,
                text=True,
                check=False,
                timeout=BUILD_SECONDS,
            )
            if done.returncode and any(each in done.stderr for each in _OFFLINE):
                pytest.skip(f"Go could not download the server: {done.stderr[-300:]}")
            assert not done.returncode, done.stderr[-4000:]
            (home / "versitygw").rename(program)
    return program


def _keeps_attributes(directory: Path) -> bool:
    """Whether files there can have extended attributes."""
    try:
        os.setxattr(directory, "user.runrecord", b"1")
    except (OSError, AttributeError):
        return False
    return True


@dataclass
class S3Server:
    """A server that runs.

    Attributes:
        endpoint: Its URL.
        process: Its process, which a test may stop and start no more.
    """

    endpoint: str
    process: subprocess.Popen[bytes]

    @classmethod
    @contextmanager
    def run(cls, program: Path, directory: Path) -> Iterator[S3Server]:
        """Run the server over ``directory`` until the block ends."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        for name in ("objects", "metadata", "versions"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        command = [program, "--port", f"127.0.0.1:{port}", "--region", REGION, "--quiet", "posix"]
        command += ["--versioning-dir", directory / "versions"]
        if not _keeps_attributes(
            directory
        ):  # in a directory of its own, an object and its tag change one after the other
            command += ["--sidecar", directory / "metadata"]
        environment = {**os.environ, "ROOT_ACCESS_KEY": _ACCESS, "ROOT_SECRET_KEY": _SECRET}
        log = directory / "server.log"
        with (
            log.open("wb") as output,
            subprocess.Popen(
                [*map(str, command), str(directory / "objects")],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            server = cls(f"http://127.0.0.1:{port}", process)
            try:
                server._wait(log)
                yield server
            finally:
                process.kill()

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self.request("GET", "/")
            except (urllib.error.URLError, ConnectionError):
                assert self.process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            else:
                return

    def options(self) -> dict[str, str]:
        """What obstore needs to know about the server; the credentials are in `environment`."""
        return {"endpoint": self.endpoint, "region": REGION}

    def environment(self) -> dict[str, str]:
        """The credentials, as environment variables."""
        return {"AWS_ACCESS_KEY_ID": _ACCESS, "AWS_SECRET_ACCESS_KEY": _SECRET}

    def make_bucket(self, name: str, *, object_lock: bool = False) -> None:
        """Make a bucket."""
        headers = {"x-amz-bucket-object-lock-enabled": "true"} if object_lock else {}
        self.request("PUT", f"/{name}", headers)

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Return the objects of a bucket by their names."""
        from obstore.store import S3Store  # an extra, which only some tests have

        store = S3Store(
            bucket,
            access_key_id=_ACCESS,
            secret_access_key=_SECRET,
            client_options={"allow_http": True},
            **self.options(),  # type: ignore[arg-type]
        )
        names = [str(each["path"]) for batch in store.list() for each in batch]
        return {name: bytes(store.get(name).bytes()) for name in names}

    def request(self, method: str, path: str, headers: dict[str, str] | None = None) -> bytes:
        """Send a request without a body, signed as AWS does (Signature Version 4); return what was answered."""
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        signed = {
            "host": self.endpoint.removeprefix("http://"),
            "x-amz-content-sha256": _EMPTY,
            "x-amz-date": now,
            **(headers or {}),
        }
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        plain, _, query = path.partition("?")
        query = "&".join(sorted(each if "=" in each else f"{each}=" for each in query.split("&") if each))
        canonical = f"{method}\n{plain}\n{query}\n{lines}\n{names}\n{_EMPTY}"
        scope = f"{now[:8]}/{REGION}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = f"AWS4{_SECRET}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={_ACCESS}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        request = urllib.request.Request(
            self.endpoint + path, method=method, headers={**signed, "Authorization": authorization}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.read())


if __name__ == "__main__":
    s3_program()
