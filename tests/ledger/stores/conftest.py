# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The places that a log can be kept in, each real: a directory, a PostgreSQL server, an S3 server."""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from obstore.store import MemoryStore
from postgres_server import PostgresServer
from s3_server import BUILD_SECONDS, S3Server, s3_program

from runrecord.ledger import Log, NoteSigner
from runrecord.ledger.publisher import Publisher
from runrecord.ledger.stores.location import Location, open_store
from runrecord.ledger.stores.objects import ObjectStore

ORIGIN = "example.com/agents"
BUCKET = "ledgers"


class Place:
    """Somewhere to keep a log, and the means to spoil it."""

    shared = True

    def __init__(self, location: Location) -> None:
        self.location = location

    def objects(self) -> dict[str, bytes]:
        """The public part, by names."""
        store = open_store(self.location)
        names = ["checkpoint", *store.names("tile/")]
        found = {name: store.read(name) for name in names}
        store.close()
        return {name: data for name, data in found.items() if data is not None}

    def put(self, name: str, data: bytes | None) -> None:
        """Replace an object behind the back of the log, or remove it."""
        raise NotImplementedError


class DirectoryPlace(Place):
    shared = False

    def put(self, name: str, data: bytes | None) -> None:
        path = Path(self.location) / name
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)


class PostgresPlace(Place):
    def put(self, name: str, data: bytes | None) -> None:
        self.execute("DELETE FROM runrecord_object WHERE name = %s", name)
        if data is not None:
            self.execute(
                "INSERT INTO runrecord_object SELECT id, %s, %s FROM runrecord_log LIMIT 1", name, data
            )

    def execute(self, query: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.location, autocommit=True) as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []


class ObjectPlace(Place):
    @property
    def raw(self) -> Any:
        """The store of obstore."""
        return open_store(self.location).objects  # type: ignore[attr-defined]

    def put(self, name: str, data: bytes | None) -> None:
        if data is None:
            self.raw.delete(name)
        else:
            self.raw.put(name, data)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer.run() as server:
        yield server


@pytest.fixture
def postgres_place(postgres: PostgresServer) -> PostgresPlace:
    return PostgresPlace(postgres.schema(f"log_{uuid.uuid4().hex[:12]}"))


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server.run(s3_program(), tmp_path_factory.mktemp("s3")) as server:
        server.make_bucket(BUCKET)
        yield server


@pytest.fixture
def s3_place(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> ObjectPlace:
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    options = urlencode(s3.options())
    return ObjectPlace(f"s3://{BUCKET}/log/{uuid.uuid4().hex}?{options}")


@pytest.fixture
def memory_place() -> ObjectPlace:
    """The code of object stores where no server can be had."""
    return ObjectPlace(ObjectStore(MemoryStore(), f"memory://{uuid.uuid4().hex}"))


@pytest.fixture
def directory_place(tmp_path: Path) -> DirectoryPlace:
    return DirectoryPlace(str(tmp_path / "log"))


GO = (pytest.mark.go, pytest.mark.timeout(BUILD_SECONDS))
POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
SHARED = [POSTGRES, "memory", pytest.param("s3", marks=GO)]


@pytest.fixture(params=["directory", *SHARED])
def place(request: pytest.FixtureRequest) -> Place:
    """One of the stores: a test with it is part of the contract."""
    return request.getfixturevalue(f"{request.param}_place")


@pytest.fixture(params=SHARED)
def shared_place(request: pytest.FixtureRequest) -> Place:
    """One of the stores that take several writers."""
    return request.getfixturevalue(f"{request.param}_place")


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What belongs to this machine, of each test its own."""
    monkeypatch.setenv("RUNRECORD_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def items() -> Callable[[int, int], list[tuple[bytes, bytes]]]:
    """Return keys and leaves number ``start..end``; leaves are of many lengths."""

    def make(start: int, end: int) -> list[tuple[bytes, bytes]]:
        return [(b"key %d" % i, b"leaf %d " % i + b"x" * (i % 37)) for i in range(start, end)]

    return make


@pytest.fixture
def signer() -> NoteSigner:
    return NoteSigner(ORIGIN, bytes(range(32)))


def key_of(leaf: bytes) -> bytes:
    """The key of a leaf of `items`."""
    return b"key " + leaf.split(b" ")[1]


@pytest.fixture
def open_log(signer: NoteSigner) -> Iterator[Callable[..., Log]]:
    """Open logs that publish only when told to, and close them after the test."""
    opened: list[Log] = []

    def open_it(location: str, **options: Any) -> Log:
        arguments = {"signer": signer, "checkpoint_interval": None, "key_of": key_of, **options}
        opened.append(Log.open(location, **arguments))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


@pytest.fixture(params=["directory", POSTGRES, pytest.param("s3", marks=GO)])
def addressed_place(request: pytest.FixtureRequest) -> Place:
    """One of the stores that have an address to be given on a command line."""
    return request.getfixturevalue(f"{request.param}_place")


def load(path: str) -> ModuleType:
    """Import the helpers of other tests."""
    spec = util.spec_from_file_location(f"stores_{Path(path).parent.name}", Path(__file__).parents[2] / path)
    assert spec
    assert spec.loader
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def builders() -> ModuleType:
    """The builders of runs."""
    return load("ledger/meaning/conftest.py")


@pytest.fixture(scope="session")
def gateways() -> ModuleType:
    """The makers of gateways and requests."""
    return load("collector/conftest.py")


class Cut(BaseException):
    """A writer ends in the middle of what it does."""


@pytest.fixture
def cut_short(monkeypatch):
    """Let a writer end at a step: when it appends, publishes or removes, or when it keeps an object of that name."""

    def cut(*_, **__):
        raise Cut

    @contextlib.contextmanager
    def at(step):
        keep = Publisher.keep

        def keep_unless(self, name, data):
            if step in name:
                raise Cut
            keep(self, name, data)

        with monkeypatch.context() as patch:
            if step == "publish":
                patch.setattr(Publisher, "publish", cut)
            elif step in {"append", "remove"}:
                patch.setattr(Log, step, cut)
            else:
                patch.setattr(Publisher, "keep", keep_unless)
            with pytest.raises(Cut):
                yield

    return at
