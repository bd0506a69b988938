# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A real broker of Kafka, with a listener for TLS and SASL, for the tests of a module."""

from __future__ import annotations

import itertools

import pytest

PASSWORD = "s3cret-of-kafka"
_numbers = itertools.count()


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    """Start a broker; it is stopped at the end."""
    pytest.importorskip("confluent_kafka")
    from certificates import Authority
    from kafka_broker import Broker

    home = tmp_path_factory.mktemp("kafka")
    authority = Authority(home)
    cert_file, key_file = authority.issue("broker")
    keystore = home / "broker.pem"
    keystore.write_bytes(key_file.read_bytes() + cert_file.read_bytes())
    tls = "listener.name.tls."
    jaas = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_gateway="{PASSWORD}";'
    running = Broker(
        home / "broker",
        {
            f"{tls}ssl.keystore.type": "PEM",
            f"{tls}ssl.keystore.location": str(keystore),
            f"{tls}ssl.truststore.type": "PEM",
            f"{tls}ssl.truststore.location": str(authority.ca_file),
            f"{tls}ssl.client.auth": "required",
            f"{tls}sasl.enabled.mechanisms": "PLAIN",
            f"{tls}plain.sasl.jaas.config": jaas,
        },
    )
    running.authority, running.password = authority, PASSWORD
    running.start()
    yield running
    running.kill()


@pytest.fixture
def topic(broker):
    """Make a topic with two partitions."""
    return broker.make_topic(f"intake-{next(_numbers)}", 2)


@pytest.fixture
def kafka_settings(settings, broker, topic, tmp_path):
    """Make the configuration of a gateway; each number is a machine with a disk of its own."""

    def make(forward=None, machine=0, **kafka):
        config = settings(forward)
        root = tmp_path / f"machine-{machine}"
        config["exporters"]["ledger"]["directory"] = str(root / "ledger")
        config["service"]["state_dir"] = str(root / "state")
        config["service"]["intake"] = {
            "kafka": {"brokers": [broker.address], "topic": topic, "timeout": "3s", **kafka}
        }
        return config

    return make
