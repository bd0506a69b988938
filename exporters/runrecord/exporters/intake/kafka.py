# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A Kafka topic in place of the intake log: what several gateways on several machines share.

A request is one message: the redacted bytes, its signal and the time it came in headers. It is durable when all in-sync replicas have
it (``acks=all``, idempotent), and only then acknowledged. Every exporter is a consumer group that commits offsets behind its work, so
each partition is read by one of the gateways, and by another when that one dies.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]

from runrecord.exporters.errors import IntakeError, IntakeFull, IntakeUnusable
from runrecord.exporters.intake.kafka_source import KafkaSource
from runrecord.exporters.intake.kafka_writer import QUIET, KafkaWriter
from runrecord.exporters.intake.log import IntakeLimits
from runrecord.processors.signal import Signal

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Which topic, and how to reach it.

    Attributes:
        brokers: ``HOST:PORT`` of those that are asked first.
        topic: It must exist: how many replicas and partitions it has, and how long it keeps, is for its owner to decide.
        group_id: Begins the names of the consumer groups.
        timeout: Seconds in which a message must be acknowledged by the brokers.
        max_message_bytes: The largest message; at most what the topic takes.
        max_queued_bytes: The most bytes of messages on their way to the brokers.
        compression: A codec of Kafka.
        security: Properties of librdkafka for TLS and SASL; hidden in the repr, for they hold a password.
    """

    brokers: tuple[str, ...]
    topic: str
    group_id: str = "runrecord"
    timeout: float = 10.0
    max_message_bytes: int = 1_000_000
    max_queued_bytes: int = 256 << 20
    compression: str = "zstd"
    security: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


class KafkaIntake:
    """The topic, as receiving and consuming use it."""

    def __init__(
        self, settings: KafkaSettings, *, key_of: Callable[[Signal, bytes], bytes | None] | None = None
    ) -> None:
        """Connect, and see that the topic is there.

        Args:
            settings: Which topic.
            key_of: Names what keeps requests together in one partition; those without a key are spread.

        Raises:
            IntakeUnusable: The brokers can't be reached, or they have no such topic.
        """
        self._settings = settings
        self._common = {
            "bootstrap.servers": ",".join(settings.brokers),
            "client.id": "runrecord-gateway",
            "log_level": 2,  # its connection errors come once more as events; ours are the words about them
            **settings.security,
        }
        self._sources: list[KafkaSource] = []
        largest = min(settings.max_message_bytes, self._topic_limit())
        self._writer = KafkaWriter(
            {
                **self._common,
                "message.max.bytes": largest,
                "message.timeout.ms": int(settings.timeout * 1000),
                "queue.buffering.max.kbytes": max(1, settings.max_queued_bytes >> 10),
                "compression.type": settings.compression,
            },
            settings.topic,
            key_of=key_of,
        )
        self.limits = IntakeLimits(max_bytes=settings.max_queued_bytes)

    def _topic_limit(self) -> int:
        """See that the topic is there, and ask how large a batch of it may be; many where this user may not ask."""
        problems: list[str] = []

        def note(error: KafkaError) -> None:
            problems.append(error.name())

        properties: Any = {**self._common, "error_cb": note}
        admin: Any = AdminClient(properties, logger=_log)
        try:
            topic = admin.list_topics(self._settings.topic, self._settings.timeout).topics[
                self._settings.topic
            ]
        except KafkaException as error:
            admin.poll(0)
            name = next((each for each in problems if each not in QUIET), error.args[0].name())
            raise IntakeUnusable(
                f"no broker of {self.place} can be reached ({name})",
                next_step="check service.intake.kafka: brokers, tls and auth; start the brokers",
            ) from error
        if topic.error is not None:
            raise IntakeUnusable(
                f"{self.place} can't be used ({topic.error.name()})",
                next_step="make the topic, with at least one partition for each gateway, and let this user write and read it",
            )
        resource = ConfigResource(ConfigResource.Type.TOPIC, self._settings.topic)
        [answer] = admin.describe_configs([resource], request_timeout=self._settings.timeout).values()
        try:
            return int(answer.result()["max.message.bytes"].value)
        except (KafkaException, KeyError, TypeError, ValueError):
            return self._settings.max_message_bytes

    # -- what receiving uses ---------------------------------------------------------------------------------------

    @property
    def place(self) -> str:
        """Where it stores, for messages."""
        return f"the topic {self._settings.topic} of {', '.join(self._settings.brokers)}"

    @property
    def failure(self) -> IntakeError | None:
        """Why the brokers took nothing the last time, or None."""
        return self._writer.failure

    @property
    def no_room(self) -> IntakeFull | None:
        """Never anything: `failure` says it."""
        return None

    @property
    def no_room_groups(self) -> int:
        """Never any: `failure` says it."""
        return 0

    @property
    def stored_bytes(self) -> int:
        """Bytes on their way to the brokers."""
        return self._writer.queued_bytes

    async def append(self, signal: Signal, body: bytes, *, headers: tuple[tuple[str, str], ...] = ()) -> int:
        """Store a redacted request and return when all in-sync replicas have it.

        Args:
            signal: What the body is a request of.
            body: A serialised request, already redacted.
            headers: What to keep with it.

        Returns:
            Its offset.

        Raises:
            IntakeTooLarge: It is larger than a message may be.
            IntakeFull: The brokers did not acknowledge it in time, or too much is on its way; try again later.
            IntakeStopped: It was closed.
        """
        return await self._writer.append(signal, body, headers)

    def oldest_age_seconds(self) -> float:
        """Return the age of the oldest record that a consumer here has fetched and not begun with."""
        return max((source.oldest_age_seconds() for source in self._sources), default=0.0)

    def close(self) -> None:
        """Wait for what is on its way, then close the connections."""
        for source in self._sources:
            source.close()
        self._writer.close()

    # -- what consuming uses ---------------------------------------------------------------------------------------

    def consumer(self, name: str) -> KafkaSource:
        """Join the consumer group of an exporter.

        Args:
            name: Of the exporter; the same name on another machine is another member of its group.
        """
        source = KafkaSource(name, self._common, self._settings.topic, f"{self._settings.group_id}.{name}")
        self._sources.append(source)
        return source

    def set_consumers(self, names: Iterable[str]) -> None:
        """Change who reads: nothing is to be done, the brokers keep the offsets of every group."""
