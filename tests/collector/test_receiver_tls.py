# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""TLS and mTLS of the receiver with real certificates: over both transports, and replaced under traffic without losing a request."""

import shutil
import signal
import ssl
import threading
from pathlib import Path

import grpc
import httpx2
import pytest
import yaml
from certificates import Authority

from runrecord.collector import ConfigError, StartError
from runrecord.collector.config import GatewayConfig
from runrecord.collector.config_file import check_references, parse_config

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "tls")


@pytest.fixture
def serve(run_gateway, authority):
    """Start a gateway with TLS on both ports; the arguments are keys of ``tls``."""

    def start(**tls):
        cert_file, key_file = authority.issue("server")
        section = {"tls": {"cert_file": str(cert_file), "key_file": str(key_file), **tls}}
        protocols = dict.fromkeys(("grpc", "http"), section)
        return run_gateway(receivers={"otlp": {"protocols": protocols}})

    return start


def context_of(ca_file, client=None):
    context = ssl.create_default_context(cafile=str(ca_file))
    if client:
        context.load_cert_chain(*client)
    return context


def post(gateway, requests, ca_file, client=None):
    url = f"https://{gateway.gateway.bound.http}/v1/traces"
    with httpx2.Client(verify=context_of(ca_file, client)) as session:
        headers = {"content-type": "application/x-protobuf"}
        return session.post(url, content=requests.traces().SerializeToString(), headers=headers).status_code


def call(gateway, requests, ca_file, client=None):
    chain, key = (client[0].read_bytes(), client[1].read_bytes()) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(ca_file.read_bytes(), key, chain)
    with grpc.secure_channel(gateway.grpc, credentials) as channel:
        export = channel.unary_unary(TRACES)
        return export(requests.traces().SerializeToString(), timeout=30)


def serial(gateway, transport):
    """Return the certificate that a new connection meets."""
    host, port = gateway.gateway.bound.http if transport == "http" else gateway.gateway.bound.grpc
    return ssl.get_server_certificate((host, port))


def test_both_transports_speak_tls(serve, requests, authority):
    gateway = serve()
    assert post(gateway, requests, authority.ca_file) == 200
    assert call(gateway, requests, authority.ca_file) == b""


def test_plain_text_is_not_answered(serve, requests):
    gateway = serve()
    with pytest.raises(httpx2.HTTPError):
        gateway.post(requests.traces())
    with grpc.insecure_channel(gateway.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(TRACES)(b"", timeout=30)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_client_needs_a_certificate_of_the_right_authority(serve, requests, authority, tmp_path):
    gateway = serve(client_ca_file=str(authority.ca_file))
    good, stranger = authority.issue("client"), Authority(tmp_path / "other", "other").issue("client")
    assert post(gateway, requests, authority.ca_file, good) == 200
    assert call(gateway, requests, authority.ca_file, good) == b""
    for client in (None, stranger):
        with pytest.raises(httpx2.HTTPError):
            post(gateway, requests, authority.ca_file, client)
        with pytest.raises(grpc.RpcError):
            call(gateway, requests, authority.ca_file, client)


def test_certificates_are_replaced_under_traffic_and_no_request_is_lost(serve, requests, authority, poll):
    gateway = serve()
    before = {transport: serial(gateway, transport) for transport in ("http", "grpc")}
    answers, stop = [], threading.Event()

    def traffic(send):
        while not stop.is_set():
            answers.append(send(gateway, requests, authority.ca_file))  # a connection each: a handshake each

    threads = [threading.Thread(target=traffic, args=(send,)) for send in (post, call)]
    with httpx2.Client(verify=context_of(authority.ca_file)) as kept:
        url = f"https://{gateway.gateway.bound.http}/v1/traces"
        headers = {"content-type": "application/x-protobuf"}
        assert kept.post(url, content=b"", headers=headers).status_code == 200
        for thread in threads:
            thread.start()
        poll(lambda: len(answers) > 4)
        authority.issue("server")
        assert gateway.gateway.reload_files()
        seen = len(answers)
        poll(lambda: len(answers) > seen + 8)
        assert kept.post(url, content=b"", headers=headers).status_code == 200  # the connection from before
    stop.set()
    for thread in threads:
        thread.join(30)
    assert set(answers) == {200, b""}
    for transport, old in before.items():
        assert serial(gateway, transport) != old


def test_a_changed_client_authority_holds_for_the_next_connection(serve, requests, authority, tmp_path):
    ca_file = tmp_path / "clients.pem"
    ca_file.write_bytes(authority.ca_file.read_bytes())
    gateway = serve(client_ca_file=str(ca_file))
    old = authority.issue("client")
    assert post(gateway, requests, authority.ca_file, old) == 200
    other = Authority(tmp_path / "other", "other")
    ca_file.write_bytes(other.ca_file.read_bytes())
    assert gateway.gateway.reload_files()
    new = other.issue("client")
    assert post(gateway, requests, authority.ca_file, new) == 200
    assert call(gateway, requests, authority.ca_file, new) == b""
    with pytest.raises(httpx2.HTTPError):
        post(gateway, requests, authority.ca_file, old)
    with pytest.raises(grpc.RpcError):
        call(gateway, requests, authority.ca_file, old)


def test_files_are_read_again_after_the_interval(serve, authority, poll):
    gateway = serve(reload_interval="10ms")
    before = {transport: serial(gateway, transport) for transport in ("http", "grpc")}
    authority.issue("server")
    for transport, old in before.items():
        poll(lambda transport=transport, old=old: serial(gateway, transport) != old)


def test_a_certificate_that_is_damaged_leaves_the_one_before_in_use(serve, requests, authority, caplog):
    gateway = serve()
    cert_file, _ = authority.issue("server")
    cert_file.write_text("not a certificate")
    assert not gateway.gateway.reload_files()
    assert "tls: cert_file and key_file do not fit together" in caplog.text
    assert post(gateway, requests, authority.ca_file) == 200
    assert call(gateway, requests, authority.ca_file) == b""


def test_only_tls_1_3_where_it_is_asked_for(serve, requests, authority, settings, run_gateway):
    cert_file, key_file = authority.issue("server")
    tls = {"cert_file": str(cert_file), "key_file": str(key_file), "min_version": 1.3}
    gateway = run_gateway(receivers={"otlp": {"protocols": {"http": {"tls": tls}}}})
    assert post(gateway, requests, authority.ca_file) == 200
    old = context_of(authority.ca_file)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with httpx2.Client(verify=old) as session, pytest.raises(httpx2.HTTPError):
        session.get(f"https://{gateway.gateway.bound.http}/v1/traces")


def test_grpc_can_not_be_limited_to_tls_1_3_and_says_so():
    tls = "{cert_file: c, key_file: k, min_version: '1.3'}"
    with pytest.raises(ConfigError, match=r"grpc.tls: .*leave min_version out"):
        parse_config(f"receivers: {{otlp: {{protocols: {{grpc: {{tls: {tls}}}}}}}}}")


@pytest.mark.e2e
def test_sighup_takes_the_renewed_certificates(gateway_process, settings, authority, poll):
    cert_file, key_file = authority.issue("server")
    section = {"tls": {"cert_file": str(cert_file), "key_file": str(key_file)}}
    protocols = dict.fromkeys(("grpc", "http"), section)
    gateway = gateway_process(settings(receivers={"otlp": {"protocols": protocols}})).start()
    assert gateway.http.startswith("https://")
    addresses = [gateway.http.removeprefix("https://"), gateway.grpc]

    def serials():
        return [ssl.get_server_certificate(tuple(address.rsplit(":", 1))) for address in addresses]

    before = serials()
    authority.issue("server")
    gateway.process.send_signal(signal.SIGHUP)
    poll(lambda: all(new != old for new, old in zip(serials(), before, strict=True)))
    assert gateway.stop() == 0


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"cert_file": "nowhere.pem"}, "tls.cert_file can't be read"),
        ({"key_file": "other.key.pem"}, "cert_file and key_file do not fit together"),
        ({"client_ca_file": "empty.pem"}, "client_ca_file holds no certificate"),
    ],
)
def test_files_that_can_not_be_used_keep_the_gateway_from_starting(
    serve, authority, tmp_path, files, message
):
    authority.issue("other")
    (tmp_path / "tls" / "empty.pem").write_text("")
    with pytest.raises(StartError, match=message):
        serve(**{key: str(tmp_path / "tls" / name) for key, name in files.items()})


PORTS = [
    ("{endpoint: '0.0.0.0:4317'}", True),
    ("{endpoint: '[::]:4317'}", True),
    ("{endpoint: 'example.com:4317'}", True),
    ("{endpoint: '0.0.0.0:4317', tls: {cert_file: c, key_file: k}}", True),
    ("{endpoint: '0.0.0.0:4317', auth: {authenticator: bearertokenauth}}", True),
    ("{endpoint: '0.0.0.0:4317', tls: {cert_file: c, key_file: k, client_ca_file: a}}", False),
    (
        "{endpoint: '0.0.0.0:4317', tls: {cert_file: c, key_file: k}, auth: {authenticator: bearertokenauth}}",
        False,
    ),
    ("{endpoint: '0.0.0.0:4317', insecure: true}", False),
    ("{endpoint: 'localhost:4317'}", False),
    ("{endpoint: '127.9.9.9:4317'}", False),
    ("{endpoint: '[::1]:4317'}", False),
]


@pytest.mark.parametrize(("section", "is_refused"), PORTS)
@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_an_address_that_others_reach_is_protected_or_said_to_be_open(transport, section, is_refused):
    text = (
        f"receivers: {{otlp: {{protocols: {{{transport}: {section}}}}}}}\n"
        "extensions: {bearertokenauth: {token: t}}\nservice: {extensions: [bearertokenauth]}\n"
    )
    problems = check_references(GatewayConfig.model_validate(yaml.safe_load(text)))
    assert [problem.key for problem in problems] == (
        [f"receivers.otlp.protocols.{transport}.endpoint"] if is_refused else []
    )
    assert all("insecure: true" in problem.message for problem in problems)


def test_validate_names_a_certificate_that_can_not_be_used(authority):
    cert_file, _ = authority.issue("a")
    _, key_file = authority.issue("b")
    text = (
        f"receivers: {{otlp: {{protocols: {{http: {{tls: {{cert_file: '{cert_file}', key_file: KEY}}}}}}}}}}"
    )
    with pytest.raises(ConfigError, match=r"protocols\.http\.tls\.key_file: can't be read \(No such file"):
        parse_config(text.replace("KEY", "nowhere.pem"))
    with pytest.raises(
        ConfigError, match=r"protocols\.http\.tls: cert_file and key_file do not fit together"
    ):
        parse_config(text.replace("KEY", f"'{key_file}'"))


def test_the_example_of_the_documentation_works(authority, run_gateway, tmp_path, monkeypatch):
    page = Path(__file__).parents[2] / "docs" / "gateway.md"
    text = page.read_text().partition("## TLS, tokens and memory")[2].split("```")[1].removeprefix("yaml\n")
    monkeypatch.chdir(tmp_path)
    for target, source in (("clients.pem", authority.ca_file), ("ca.pem", authority.ca_file)):
        shutil.copy(source, target)
    for name in ("server", "client"):
        cert_file, key_file = authority.issue(name)
        shutil.copy(cert_file, f"{name}.pem")
        shutil.copy(key_file, f"{name}.key")
    Path("tokens").write_text("first # of the agents\n")
    telemetry = {"metrics": None, "health": None}
    assert parse_config(text).memory_limiter.limit_mib == 2000
    config = yaml.safe_load(text.replace("0.0.0.0:4317", "127.0.0.1:0"))
    config["service"] |= {"state_dir": str(tmp_path / "state"), "telemetry": telemetry, "drain_timeout": 0}
    config["receivers"]["otlp"]["protocols"]["http"]["endpoint"] = "127.0.0.1:0"
    gateway = run_gateway(config=config)
    with httpx2.Client(verify=context_of(authority.ca_file, authority.issue("client"))) as session:
        url = f"https://{gateway.gateway.bound.http}/v1/traces"
        answers = [
            session.post(url, json={}, headers={"authorization": f"Bearer {token}"})
            for token in ("first", "second")
        ]
    assert [answer.status_code for answer in answers] == [200, 401]
