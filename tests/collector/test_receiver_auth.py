# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens of the receiver: over both transports, several at once, replaced while it runs, and shown nowhere."""

import json
import os

import grpc
import httpx2
import pytest
import yaml
from google.rpc.status_pb2 import Status
from typer.testing import CliRunner

from runrecord.cli.main import app
from runrecord.collector import ConfigError, StartError
from runrecord.collector.config_file import parse_config

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF = "application/x-protobuf"
UNAUTHENTICATED = 16


@pytest.fixture
def serve(run_gateway, settings):
    """Start a gateway whose ports want a token; the arguments are those of the extension."""

    def start(**extension):
        protocol = {"auth": {"authenticator": "bearertokenauth/agents"}}
        config = settings(
            receivers={"otlp": {"protocols": {"grpc": protocol, "http": protocol}}},
            service={"extensions": ["bearertokenauth/agents"]},
        )
        config["extensions"] = {"bearertokenauth/agents": extension}
        return run_gateway(config=config)

    return start


@pytest.fixture
def post(requests):
    """Send a request over HTTP with a header, or without one."""

    def send(gateway, authorization=None, content_type=PROTOBUF, path="/v1/traces"):
        headers = {"content-type": content_type}
        if authorization is not None:
            headers["authorization"] = authorization
        body = requests.traces().SerializeToString() if content_type == PROTOBUF else b"{}"
        return httpx2.post(gateway.http + path, content=body, headers=headers)

    return send


@pytest.fixture
def call(requests):
    """Send a request over gRPC with metadata, or without; returns the code."""

    def send(gateway, authorization=None, body=None):
        metadata = () if authorization is None else (("authorization", authorization),)
        body = requests.traces().SerializeToString() if body is None else body
        options = [("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(gateway.grpc, options=options) as channel:
            try:
                channel.unary_unary(TRACES)(body, timeout=30, metadata=metadata)
            except grpc.RpcError as error:
                return error.code()
            return grpc.StatusCode.OK

    return send


GOOD = ["Bearer first", "Bearer second", "bearer first", "BEARER  second"]
WRONG = [
    None,
    "",
    "Bearer",
    "Bearer firs",
    "Bearer first2",
    "first",
    "Basic first",
    "Bearer FIRST",
]


def test_any_of_the_tokens_lets_in(serve, post, call):
    gateway = serve(tokens=["first", "second"])
    for value in GOOD:
        assert post(gateway, value).status_code == 200
        assert call(gateway, value) is grpc.StatusCode.OK


def test_anything_else_does_not(serve, post, call):
    gateway = serve(tokens=["first", "second"])
    for value in WRONG:
        answer = post(gateway, value)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert Status.FromString(answer.content).code == UNAUTHENTICATED
        assert call(gateway, value) is grpc.StatusCode.UNAUTHENTICATED
    assert gateway.metric("otelcol_receiver_accepted_spans_total") == 0


def test_a_stranger_learns_nothing_but_that_a_token_is_missing(serve, post):
    gateway = serve(token="first")
    said = post(gateway, content_type="application/json").json()
    assert said == {
        "code": UNAUTHENTICATED,
        "message": "the header authorization must hold a valid token: Bearer TOKEN",
    }
    assert post(gateway, path="/v1/nothing").status_code == 401


def test_over_grpc_a_stranger_is_refused_before_its_message_is_read(serve, call):
    gateway = serve(token="first")
    assert call(gateway, body=b"\xff" * (60 << 20)) is grpc.StatusCode.UNAUTHENTICATED


def test_another_scheme(serve, post):
    gateway = serve(token="first", scheme="ApiKey")
    assert post(gateway, "apikey first").status_code == 200
    assert post(gateway, "Bearer first").headers["www-authenticate"] == "ApiKey"


def test_a_changed_file_holds_soon_and_after_a_reload_at_once(serve, post, call, tmp_path, poll):
    file = tmp_path / "tokens"
    file.write_text("first # of the agents\n\nsecond\n")
    gateway = serve(filename=str(file))
    assert post(gateway, "Bearer second").status_code == 200
    file.write_text("third\n")
    assert gateway.gateway.reload_files()
    assert post(gateway, "Bearer third").status_code == 200
    assert call(gateway, "Bearer first") is grpc.StatusCode.UNAUTHENTICATED
    file.write_text("the-fourth\n")
    poll(lambda: post(gateway, "Bearer the-fourth").status_code == 200)
    assert post(gateway, "Bearer third").status_code == 401


def test_a_file_that_went_leaves_the_tokens_before_in_use(serve, post, tmp_path, caplog):
    file = tmp_path / "tokens"
    file.write_text("first\n")
    gateway = serve(filename=str(file))
    for damage in (lambda: file.write_text(" \n"), file.unlink):
        damage()
        assert not gateway.gateway.reload_files()
        assert post(gateway, "Bearer first").status_code == 200
    assert "tokens are not replaced: extensions.bearertokenauth/agents.filename has no token" in caplog.text
    assert "filename can't be read (No such file or directory)" in caplog.text


def test_a_token_is_in_no_log_and_in_no_output(serve, post, tmp_path, caplog):
    file = tmp_path / "tokens"
    file.write_text("s3cret-in-a-file\n")
    gateway = serve(filename=str(file))
    post(gateway, "Bearer s3cret-of-a-stranger")
    file.write_text("\xe9 s3cret-in-latin-1\n", encoding="latin-1")
    assert not gateway.gateway.reload_files()
    text = "extensions: {bearertokenauth: {tokens: [s3cret-in-yaml]}}\nservice: {extensions: [bearertokenauth]}\n"
    config = parse_config(text)
    path = tmp_path / "runrecord.yaml"
    path.write_text(text)
    printed = CliRunner().invoke(app, ["print-config", str(path)])
    assert printed.exit_code == 0
    assert yaml.safe_load(printed.output)["extensions"]["bearertokenauth"]["tokens"] == ["**********"]
    shown = [caplog.text, repr(config), str(config.model_dump()), json.dumps(config.model_dump(mode="json"))]
    assert "s3cret" not in " ".join([*shown, printed.output, repr(gateway.gateway.config)])


def test_a_file_without_a_token_keeps_the_gateway_from_starting(serve, tmp_path):
    file = tmp_path / "tokens"
    with pytest.raises(StartError, match="filename can't be read"):
        serve(filename=str(file))
    file.write_text("\n")
    with pytest.raises(StartError, match="filename has no token"):
        serve(filename=str(file))


MISSPELT = """
receivers: {otlp: {protocols: {http: {auth: {authenticator: barertokenauth}}}}}
extensions: {bearertokenauth: {token: a}}
service: {extensions: [bearertokenauth]}
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MISSPELT, r"auth.authenticator: there is no 'barertokenauth' .*did you mean 'bearertokenauth'"),
        ("extensions: {bearertokenauth: {}}", "name one of token, tokens and filename"),
        ("extensions: {bearertokenauth: {token: a, filename: b}}", "name one of token, tokens and filename"),
        ("extensions: {bearertokenauth: {token: '${env:NO_SUCH:-}'}}", "must not be empty"),
        ("extensions: {bearertokenauth: {token: a}}", r"1:14: extensions.bearertokenauth: is not in use"),
        ("service: {extensions: [bearertokenauth]}", "there is no 'bearertokenauth' under extensions"),
        ("extensions: {basicauth: {}}", "extensions.basicauth"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(text, environment=dict(os.environ))
