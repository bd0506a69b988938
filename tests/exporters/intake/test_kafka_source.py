# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A consumer's progress, and what a configuration of Kafka means: all that needs no broker."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.collector.config.kafka import Kafka
from runrecord.collector.errors import StartError
from runrecord.collector.kafka import open_kafka, security
from runrecord.exporters.intake.progress import Progress


@given(st.integers(0, 5), st.permutations(range(8)), st.sets(st.integers(0, 7)))
def test_what_is_finished_is_everything_before_the_oldest_that_is_not_done(first, order, unwanted):
    progress = Progress(first)
    for number in range(8):
        (progress.passed if number in unwanted else progress.read)(first + number)
    assert progress.position == first + 8
    done = set(unwanted)
    for number in order:
        expected = next((each for each in range(8) if each not in done), 8)
        assert progress.finished == first + expected
        progress.done(first + number)
        done.add(number)
    assert progress.finished == first + 8


def test_tls_and_sasl_in_the_words_of_the_client():
    base = {"brokers": ["k:9092"], "topic": "t"}
    assert security(Kafka.model_validate(base)) == {"security.protocol": "PLAINTEXT"}
    assert security(Kafka.model_validate({**base, "tls": {}})) == {
        "security.protocol": "SSL",
        "ssl.endpoint.identification.algorithm": "https",
    }
    sasl = {"mechanism": "SCRAM-SHA-512", "username": "u", "password": "s3cret"}
    config = Kafka.model_validate({**base, "tls": {"ca_file": "/ca.pem"}, "auth": {"sasl": sasl}})
    assert security(config) == {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": "/ca.pem",
        "ssl.endpoint.identification.algorithm": "https",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": "s3cret",
    }
    assert "s3cret" not in repr(config) + config.model_dump_json()


def test_a_missing_client_is_said_with_the_way_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    for name in [name for name in sys.modules if name.startswith("runrecord.exporters.intake.kafka")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(StartError) as missing:
        open_kafka(Kafka.model_validate({"brokers": ["k:9092"], "topic": "t"}))
    assert missing.value.next_step == "pip install 'runrecord[kafka]'"
