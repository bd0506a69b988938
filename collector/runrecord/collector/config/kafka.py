# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`service.intake.kafka:` of the configuration, in the names of the collector's Kafka components."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints, field_validator

from runrecord.collector.config.tls import ClientTls
from runrecord.collector.values import Address, Seconds
from runrecord.exporters.settings_model import Section, or_empty
from runrecord.processors.redaction.policy import Whole

_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
"""What Kafka takes as the name of a topic."""


class Sasl(Section):
    """User name and password.

    Attributes:
        mechanism: How they are shown; PLAIN only over TLS.
        username: Who.
        password: Hidden in every repr and dump.
    """

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
    username: str = Field(min_length=1)
    password: SecretStr


class KafkaAuth(Section):
    """How the gateway says who it is; a client certificate is under ``tls``."""

    sasl: Sasl | None = None


class KafkaProducer(Section):
    """Messages.

    Attributes:
        max_message_bytes: A request that is larger is cut; at most what the topic takes (``max.message.bytes``).
        compression: What the topic holds.
    """

    max_message_bytes: Whole = Field(default=1_000_000, ge=10_000, le=1_000_000_000)
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "zstd"


class Kafka(Section):
    """A topic in place of the intake log, shared by gateways on several machines.

    Attributes:
        brokers: ``HOST:PORT`` of those that are asked first.
        topic: It must exist; several replicas, and ``min.insync.replicas`` of at least two, are what an acknowledgement rests on.
        group_id: Begins the names of the consumer groups, one for each exporter: ``GROUP_ID.EXPORTER``.
        timeout: Seconds that a client waits at most until the brokers have its request; then it is refused, retryable.
        tls: Without it, connections are in plain text.
        auth: How the gateway says who it is.
        producer: Messages.
    """

    brokers: tuple[Address, ...] = Field(min_length=1)
    topic: _Name
    group_id: _Name = "runrecord"
    timeout: Seconds = Field(default=10.0, gt=0)
    tls: ClientTls | None = None
    auth: KafkaAuth = KafkaAuth()
    producer: KafkaProducer = KafkaProducer()

    _defaults = field_validator("tls", "auth", "producer", mode="before")(or_empty)
