# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From `service.intake.kafka` to a topic that is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runrecord.collector.config.kafka import Kafka
from runrecord.collector.envelope import first_trace_id
from runrecord.collector.errors import StartError
from runrecord.exporters.errors import IntakeError
from runrecord.processors.signal import Signal

if TYPE_CHECKING:
    from runrecord.exporters.intake.kafka import KafkaIntake


def open_kafka(config: Kafka) -> KafkaIntake:
    """Connect to the topic.

    Args:
        config: Where it is.

    Raises:
        StartError: It can't be used, or the client is not installed.
    """
    try:
        from runrecord.exporters.intake.kafka import KafkaIntake, KafkaSettings  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise StartError(
            "service.intake.kafka needs a client for Kafka", next_step="pip install 'runrecord[kafka]'"
        ) from error
    try:
        return KafkaIntake(
            KafkaSettings(
                brokers=config.brokers,
                topic=config.topic,
                group_id=config.group_id,
                timeout=config.timeout,
                max_message_bytes=config.producer.max_message_bytes,
                compression=config.producer.compression,
                security=security(config),
            ),
            key_of=_key_of,
        )
    except IntakeError as error:
        raise StartError(str(error), next_step=error.next_step) from error


def security(config: Kafka) -> dict[str, str]:
    """Say TLS and SASL in the properties of librdkafka.

    Args:
        config: Where they are set.

    Returns:
        The properties; they may hold a password.
    """
    tls, sasl = config.tls, config.auth.sasl
    encrypted = tls is not None and not tls.insecure
    found = {
        "security.protocol": ("SASL_" if sasl else "") + ("SSL" if encrypted else "PLAINTEXT"),
    }
    if tls is not None and encrypted:
        files = {
            "ssl.ca.location": tls.ca_file,
            "ssl.certificate.location": tls.cert_file,
            "ssl.key.location": tls.key_file,
        }
        found |= {name: str(path) for name, path in files.items() if path is not None}
        found["ssl.endpoint.identification.algorithm"] = "https"
    if sasl is not None:
        found |= {
            "sasl.mechanism": sasl.mechanism,
            "sasl.username": sasl.username,
            "sasl.password": sasl.password.get_secret_value(),
        }
    return found


def _key_of(signal: Signal, body: bytes) -> bytes | None:
    """Keep a trace in one partition, as far as a request holds one; logs and metrics are spread."""
    return first_trace_id(body) if signal is Signal.TRACES else None
