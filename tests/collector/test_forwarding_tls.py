# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A gateway forwards to another one that wants TLS, a client certificate and a token."""

# ruff: noqa: PLR0917 - fixtures are arguments

import pytest
from certificates import Authority

from runrecord.collector import ConfigError
from runrecord.collector.config_file import parse_config


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "tls")


@pytest.fixture
def back_end(run_gateway, settings, authority, tmp_path):
    """A gateway that only takes clients with a certificate and a token."""
    cert_file, key_file = authority.issue("server")
    tls = {"cert_file": str(cert_file), "key_file": str(key_file), "client_ca_file": str(authority.ca_file)}
    protocol = {"tls": tls, "auth": {"authenticator": "bearertokenauth"}}
    config = settings(
        receivers={"otlp": {"protocols": {"grpc": protocol, "http": protocol}}},
        service={"state_dir": str(tmp_path / "back"), "extensions": ["bearertokenauth"]},
    )
    config["extensions"] = {"bearertokenauth": {"token": "s3cret"}}
    config["exporters"]["ledger"]["directory"] = str(tmp_path / "back-ledger")
    return run_gateway(config=config)


@pytest.fixture
def tls(authority):
    """The section of an exporter that the back end takes."""
    cert_file, key_file = authority.issue("client")
    return {"ca_file": str(authority.ca_file), "cert_file": str(cert_file), "key_file": str(key_file)}


@pytest.fixture
def token_file(tmp_path):
    return tmp_path / "token"


@pytest.fixture
def send_through(run_gateway, settings, back_end, requests, tls, token_file):
    """Start a gateway that forwards to the back end with these settings, and send three spans to it."""

    def send(kind, **changes):
        bound = back_end.gateway.bound
        endpoint = f"https://{bound.http}" if kind == "otlp_http" else str(bound.grpc)
        retry = {"initial_interval": "50ms", "max_interval": "200ms"}
        config = settings()
        config["exporters"] = {kind: {"endpoint": endpoint, "retry_on_failure": retry, "tls": tls, **changes}}
        for pipeline in config["service"]["pipelines"].values():
            pipeline["exporters"] = [kind]
        if "auth" in changes:
            config["extensions"] = {"bearertokenauth": {"filename": str(token_file)}}
            config["service"]["extensions"] = ["bearertokenauth"]
        front = run_gateway(config=config)
        assert front.post(requests.traces(3)).status_code == 200
        return front

    return send


@pytest.mark.parametrize("kind", ["otlp_http", "otlp_grpc"])
def test_it_reaches_a_back_end_that_wants_a_certificate_and_a_token(kind, send_through, back_end, poll):
    send_through(kind, headers={"authorization": "Bearer s3cret"})
    poll(lambda: back_end.metric("otelcol_receiver_accepted_spans_total") == 3)


@pytest.mark.parametrize("kind", ["otlp_http", "otlp_grpc"])
def test_a_token_of_a_file_is_sent_and_a_new_one_when_it_changes(
    kind, send_through, back_end, token_file, poll
):
    token_file.write_text("out-of-date\n")
    front = send_through(kind, auth={"authenticator": "bearertokenauth"})
    poll(lambda: front.part(f"{kind} traces")["status"] != "ok")
    assert back_end.metric("otelcol_receiver_accepted_spans_total") == 0
    token_file.write_text("s3cret # the new one\n")
    poll(lambda: back_end.metric("otelcol_receiver_accepted_spans_total") == 3)


@pytest.mark.parametrize("kind", ["otlp_http", "otlp_grpc"])
def test_without_a_certificate_requests_wait(kind, send_through, back_end, authority, poll):
    front = send_through(kind, tls={"ca_file": str(authority.ca_file)})
    poll(lambda: front.metric("runrecord_exporter_retries_total") > 1)
    assert back_end.metric("otelcol_receiver_accepted_spans_total") == 0


@pytest.mark.parametrize(
    ("exporter", "message"),
    [
        ("otlp_http: {endpoint: 'http://a', tls: {ca_file: a}}", "endpoint that begins with https://"),
        ("otlp_http: {endpoint: 'https://a', tls: {insecure: true}}", "begin the endpoint with http://"),
        ("otlp_grpc: {endpoint: 'a:1', auth: {authenticator: nobody}}", "no 'nobody' under extensions"),
        ("otlp_grpc: {endpoint: 'a:1', tls: {cert_file: a}}", "cert_file and key_file go together"),
        ("otlp_grpc: {endpoint: 'a:1', tls: {insecure: true, ca_file: a}}", "remove it, or the files"),
    ],
)
def test_a_tls_section_that_does_not_fit_says_so(exporter, message):
    pipelines = f"{{traces: {{exporters: [{exporter.partition(':')[0]}]}}}}"
    with pytest.raises(ConfigError, match=message):
        parse_config(f"exporters: {{{exporter}}}\nservice: {{pipelines: {pipelines}}}")
