# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A time stamping authority for the tests: OpenSSL's own, behind HTTP.

Tests that use it have the marker ``debian``: without the program ``openssl``, or a Debian to unpack it from, they are skipped; where the
environment variable CI is set, they fail instead.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import debian
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CONFIG = """
[tsa]
default_tsa = it
[it]
serial = {here}/serial
signer_cert = {here}/tsa.pem
signer_key = {here}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
tsa_name = yes
"""


def _certificate(name, key, issuer, issuer_key, *, authority):
    now = dt.datetime.now(dt.timezone.utc)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


@contextmanager
def serving(here: Path) -> Generator[tuple[str, Path], None, None]:
    """Make an authority in a directory; yield its URL and the PEM file of its root."""
    openssl = debian.program("openssl", "usr/bin/openssl")
    here.mkdir()
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate("Test root", root_key, None, root_key, authority=True)
    leaf = _certificate("Test authority", key, root.subject, root_key, authority=False)
    pem = serialization.Encoding.PEM
    (here / "root.pem").write_bytes(root.public_bytes(pem))
    (here / "tsa.pem").write_bytes(leaf.public_bytes(pem))
    (here / "tsa.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (here / "serial").write_text("01\n")
    (here / "tsa.cnf").write_text(_CONFIG.format(here=here))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            query, reply = here / "query.tsq", here / "reply.tsr"
            query.write_bytes(self.rfile.read(int(self.headers["content-length"])))
            command = [
                openssl,
                "ts",
                "-reply",
                "-config",
                here / "tsa.cnf",
                "-queryfile",
                query,
                "-out",
                reply,
            ]
            subprocess.run(command, check=True, capture_output=True)
            body = reply.read_bytes()
            self.send_response(200)
            self.send_header("content-type", "application/timestamp-reply")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", here / "root.pem"
    finally:
        server.shutdown()
        server.server_close()
