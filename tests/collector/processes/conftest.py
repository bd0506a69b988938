# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Clients that load a gateway of several processes over both transports, and what there is to see of its processes."""

from __future__ import annotations

import os
import ssl
import threading
from pathlib import Path

import grpc
import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

PROTOBUF = {"content-type": "application/x-protobuf"}
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP: a client that makes one itself reads all authorities, 20 ms for each request."""


class Client(threading.Thread):
    """Exports one span after the other, each over a connection of its own, until it is acknowledged.

    A new connection may go to any receiver. With `patient=False` a request that fails is remembered, and not sent again.
    """

    def __init__(self, lane, gateway, requests, *, patient=True):
        super().__init__(daemon=True)
        self.lane, self.gateway, self.requests, self.patient = lane, gateway, requests, patient
        self.acknowledged, self.failures, self.done = [], [], threading.Event()

    def run(self):
        number = self.lane * 1_000_000
        while not self.done.wait(0.03):  # some load; many more spans would only take time to compare
            request = self.requests.traces(start=number, text=f"x{number}")
            try:
                self._over_grpc(request) if self.lane % 2 else self._over_http(request)
            except (httpx2.HTTPError, grpc.RpcError) as error:
                if self.patient:
                    continue  # sent again: the same span, as an SDK would
                self.failures.append(repr(error))
            else:
                self.acknowledged.append(f"{number + 1:016x}")
            number += 1

    def _over_grpc(self, request):
        options = [
            ("grpc.use_local_subchannel_pool", 1)
        ]  # otherwise channels of one target share a connection
        with grpc.insecure_channel(self.gateway.grpc, options=options) as channel:
            TraceServiceStub(channel).Export(request, timeout=30)

    def _over_http(self, request):
        url = self.gateway.http + "/v1/traces"
        content = request.SerializeToString()
        httpx2.post(url, content=content, headers=PROTOBUF, timeout=30, verify=PLAIN).raise_for_status()


@pytest.fixture
def load(requests, poll):
    """Start clients that load a gateway; they stop at the end."""
    clients = []

    class Load:
        def __init__(self, gateway, number=3, **options):
            self.clients = [Client(lane, gateway, requests, **options) for lane in range(number)]
            clients.extend(self.clients)
            for client in self.clients:
                client.start()

        @property
        def acknowledged(self):
            return [span for client in self.clients for span in list(client.acknowledged)]

        @property
        def failures(self):
            return [failure for client in self.clients for failure in list(client.failures)]

        def more(self, number):
            wanted = len(self.acknowledged) + number
            poll(lambda: len(self.acknowledged) >= wanted)

        def stop(self):
            for client in self.clients:
                client.done.set()
            for client in self.clients:
                client.join(60)
            return set(self.acknowledged)

    yield Load
    for client in clients:
        client.done.set()


@pytest.fixture
def parts():
    """Return the way to read the parts of a gateway's health."""
    return lambda gateway: httpx2.get(gateway.health, timeout=60, verify=PLAIN).json()["parts"]


@pytest.fixture
def pids(parts):
    """Return the way to learn the process ids of a gateway's children."""
    return lambda gateway: {name: part["pid"] for name, part in parts(gateway).items() if "pid" in part}


@pytest.fixture
def lives():
    """Return whether a process is there, and no zombie."""

    def lives_(pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except FileNotFoundError:
            return False

    return lives_ if Path("/proc/self/stat").exists() else _signalled


def _signalled(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
