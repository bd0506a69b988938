# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A gateway forwards to another one that wants TLS, a client certificate and a token."""

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
def send_through(run_gateway, settings, back_end, requests):
    """Start a gateway that forwards to the back end with these settings, and send three spans to it."""

    def send(kind, **changes):
        bound = back_end.gateway.bound
        endpoint = f"https://{bound.http}" if kind == "otlp_http" else str(bound.grpc)
        retry = {"initial_interval": "50ms", "max_interval": "200ms"}
        config = settings()
        config["exporters"] = {kind: {"endpoint": endpoint, "retry_on_failure": retry, **changes}}
        for pipeline in config["service"]["pipelines"].values():
            pipeline["exporters"] = [kind]
        front = run_gateway(config=config)
        assert front.post(requests.traces(3)).status_code == 200
        return front

    return send


@pytest.mark.parametrize("kind", ["otlp_http", "otlp_grpc"])
def test_it_reaches_a_back_end_that_wants_a_certificate_and_a_token(
    kind, send_through, back_end, authority, poll
):
    cert_file, key_file = authority.issue("client")
    tls = {"ca_file": str(authority.ca_file), "cert_file": str(cert_file), "key_file": str(key_file)}
    send_through(kind, tls=tls, headers={"authorization": "Bearer s3cret"})
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
        ("otlp_grpc: {endpoint: 'a:1', tls: {cert_file: a}}", "cert_file and key_file go together"),
        ("otlp_grpc: {endpoint: 'a:1', tls: {insecure: true, ca_file: a}}", "remove it, or the files"),
    ],
)
def test_a_tls_section_that_does_not_fit_says_so(exporter, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(f"exporters: {{{exporter}}}")
