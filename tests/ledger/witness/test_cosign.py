# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Logs and witnesses over HTTP: quorums, witnesses that are down, behind, killed, slow or lie."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from runrecord.ledger.note import Note
from runrecord.ledger.tlog_policy import TlogPolicy
from runrecord.ledger.witness import cosign


def policy_of(log, quorum, **witnesses):
    lines = [f"log {log.signer.vkey}"]
    lines += [f"witness {name} {vkey} {url}" for name, (vkey, url) in witnesses.items()]
    lines += [f"group all-of-them all {' '.join(witnesses)}", f"quorum {quorum}", ""]
    return TlogPolicy.parse("\n".join(lines).encode())


def http_request(url, method, path, body=None, headers=None):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.request(method, path, body, headers or {})
    with contextlib.closing(connection), connection.getresponse() as answer:
        return answer.status, answer.read()


def test_two_witnesses_cosign_what_grows(log, serve):
    one, two = (serve("--log", log.signer.vkey, name=f"w{n}.example") for n in (1, 2))
    policy = policy_of(log, "all-of-them", a=(one.vkey, one.url), b=(two.vkey, f"{two.url}/"))
    sizes = {}
    for size in (3, 3, 700, 701):
        done = cosign(log.checkpoint(size), policy, log.prove, last=sizes)
        assert (done.by, done.enough, done.failures) == (("a", "b"), True, {})
        assert policy.witnessed(done.checkpoint.note).enough
        assert Note.parse(done.checkpoint.note).verified_by([log.signer.verifier])
    assert sizes == {"a": 701, "b": 701}
    # A log that has forgotten what was cosigned is told so, and goes on.
    assert cosign(log.checkpoint(800), policy, log.prove).enough
    two.stop()
    done = cosign(log.checkpoint(900), policy, log.prove, last=sizes)
    assert (done.by, done.enough) == (("a",), False)
    assert "witness b can't be reached" in done.failures["b"].message
    assert sizes["a"] == 900


def test_a_second_history_gets_no_cosignature(log, fork, serve):
    one = serve("--log", log.signer.vkey)
    policy = policy_of(log, "a", a=(one.vkey, one.url))
    assert cosign(log.checkpoint(9), policy, log.prove).enough
    done = cosign(fork.checkpoint(12), policy, fork.prove)
    assert not done.enough
    assert "answered 422" in done.failures["a"].message
    assert "another history" in done.failures["a"].next_step
    rolled_back = cosign(log.checkpoint(4), policy, log.prove)
    assert "has cosigned size 9 of this log" in rolled_back.failures["a"].message
    one.stop()
    listed = one.run("evidence", str(one.directory))
    assert "log.example/agents" in listed
    assert "1 contradicting" in listed


def test_a_witness_that_is_killed_remembers_all_that_it_has_answered(log, serve):
    one = serve("--log", log.signer.vkey)
    port = urlsplit(one.url).port
    policy = policy_of(log, "a", a=(one.vkey, one.url))
    answered, stop = [0], threading.Event()

    def grow():
        size = 0
        while not stop.is_set():
            size += 1
            if cosign(log.checkpoint(size), policy, log.prove, last=sizes).enough:
                answered.append(size)

    for _ in range(3):
        sizes = {"a": answered[-1]}
        stop.clear()
        thread = threading.Thread(target=grow)
        before = len(answered)
        thread.start()
        while len(answered) < before + 5:
            assert thread.is_alive()
        one.kill()
        stop.set()
        thread.join()
        one.start(port)
        _, body = http_request(one.url, "GET", f"/{sha256(log.origin.encode()).hexdigest()}/checkpoint")
        assert int(body.split(b"\n")[1]) >= answered[-1]
        answered.append(int(body.split(b"\n")[1]))


def test_what_is_answered_to_other_requests(log, serve):
    one = serve("--log", log.signer.vkey)
    nobody = f"/{'0' * 64}/checkpoint"
    for method, path, body, status in (
        ("GET", "/add-checkpoint", None, 405),
        ("POST", "/add-checkpoint", b"", 400),
        ("POST", "/add-checkpoint", b"x" * ((64 << 10) + 1), 413),
        ("POST", nobody, b"", 405),
        ("GET", nobody, None, 404),
        ("GET", "/", None, 404),
        ("GET", "/../add-checkpoint", None, 404),
    ):
        assert http_request(one.url, method, path, body)[0] == status, (method, path)


class Liar(BaseHTTPRequestHandler):
    """Answers what the test put into the server."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        status, kind, body = self.server.say
        self.send_response(status)
        self.send_header("content-type", kind)
        if status == 302:
            self.send_header("location", "/elsewhere")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("say", "why"),
    [
        ((200, "text/plain", b""), "something else than signature lines"),
        ((200, "text/plain", b"hello\n"), "something else than signature lines"),
        ((200, "text/plain", "— other.example AAAAAAAA\n".encode()), "no cosignature of its key"),
        ((200, "text/plain", b"\xff" * 100_000), "something else than signature lines"),
        ((302, "text/plain", b""), "answered 302"),
        ((409, "text/x.tlog.size", b"4\n"), "again and again"),
        ((409, "text/x.tlog.size", b"99\n"), "has cosigned size 99"),
        ((409, "text/plain", b"4\n"), "answered 409"),
        ((409, "text/x.tlog.size", b"4"), "answered 409"),
        ((404, "text/plain", b"who?\n"), "answered 404: 'who?'"),
        ((500, "text/html", b"<h1>" * 10_000), "answered 500"),
    ],
)
def test_a_witness_that_answers_nonsense_costs_only_its_cosignature(log, at, say, why):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    server.say = say
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        policy = policy_of(log, "none", a=(at.witness.signer.vkey, f"http://127.0.0.1:{server.server_port}"))
        done = cosign(log.checkpoint(5), policy, log.prove)
    finally:
        server.shutdown()
        server.server_close()
    assert why in done.failures["a"].message
    assert done.checkpoint.note == log.checkpoint(5).note


def test_a_witness_that_is_silent_costs_the_time_limit_only(log, at):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        policy = policy_of(log, "a", a=(at.witness.signer.vkey, url))
        done = cosign(log.checkpoint(5), policy, log.prove, timeout=0.2)
    assert "can't be reached" in done.failures["a"].message
    assert not done.enough


def test_a_url_of_another_scheme_is_refused(log, at):
    policy = policy_of(log, "a", a=(at.witness.signer.vkey, "file:///etc/passwd"))
    done = cosign(log.checkpoint(5), policy, log.prove)
    assert "not of HTTP" in done.failures["a"].message
