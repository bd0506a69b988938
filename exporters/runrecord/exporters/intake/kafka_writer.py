# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Requests into a topic of Kafka, each with an answer when all in-sync replicas have it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from runrecord.exporters.errors import IntakeError, IntakeFull, IntakeStopped, IntakeTooLarge
from runrecord.exporters.intake.kafka_message import encode_headers
from runrecord.processors.signal import Signal

_log = logging.getLogger(__name__)
_POLL_SECONDS: Final = 0.1
_ASK_SECONDS: Final = 1.0
_LINGER_MILLISECONDS: Final = 5
QUIET: Final = frozenset({"_ALL_BROKERS_DOWN", "_TIMED_OUT"})
"""Names of errors that only follow from another one."""
_Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[int]"]


class KafkaWriter:
    """An idempotent producer with a thread that hands out its answers.

    Attributes:
        queued_bytes: Bytes on their way.
        failure: Why the brokers did not take the last request, or None.
        problem: What the client said last about a connection: the name of an error of librdkafka.
    """

    def __init__(
        self,
        properties: Mapping[str, Any],
        topic: str,
        *,
        key_of: Callable[[Signal, bytes], bytes | None] | None = None,
    ) -> None:
        """Begin to connect.

        Args:
            properties: Of librdkafka.
            topic: Where messages go.
            key_of: Names what keeps requests together in one partition.
        """
        self._topic = topic
        self._key_of = key_of
        self._properties = {
            **properties,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": _LINGER_MILLISECONDS,
            "error_cb": self._connection,
        }
        self.queued_bytes = self._under_way = 0
        self.failure: IntakeError | None = None
        self.problem = ""
        self._lock = threading.Lock()
        self._closed = False
        self._producer = Producer(self._properties, logger=_log)
        self._thread = threading.Thread(target=self._poll, name="runrecord-kafka-writer", daemon=True)
        self._thread.start()

    def metadata(self, timeout: float) -> Any:
        """Ask the brokers about the topic.

        Raises:
            KafkaException: None of them answers in time.
        """
        return self._producer.list_topics(self._topic, timeout)

    async def append(self, signal: Signal, body: bytes, headers: tuple[tuple[str, str], ...]) -> int:
        """See `KafkaIntake.append`."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[int] = loop.create_future()
        if self._closed:
            raise IntakeStopped("the connection to Kafka is closed", next_step="send the request again later")
        with self._lock:
            self._under_way += 1
            self.queued_bytes += len(body)
        try:
            self._producer.produce(
                self._topic,
                value=body,
                key=self._key_of(signal, body) if self._key_of else None,
                headers=encode_headers(signal, time.time_ns(), headers),
                on_delivery=partial(self._delivered, (loop, waiter), len(body)),
            )
        except BufferError:
            self._ended(len(body))
            raise IntakeFull(
                "too much is on its way to Kafka", next_step="wait for the brokers, or add some"
            ) from None
        except KafkaException as error:
            self._ended(len(body))
            raise self._meaning(error.args[0]) from error
        return await waiter

    def close(self) -> None:
        """Wait until everything is acknowledged or has timed out, then end the thread."""
        self._closed = True
        self._thread.join()

    # -- in the thread of the producer -----------------------------------------------------------------------------

    def _poll(self) -> None:
        asked = time.monotonic()
        while not self._closed or self._under_way:
            self._producer.poll(_POLL_SECONDS)
            if self.failure is not None and time.monotonic() - asked > _ASK_SECONDS:
                asked = time.monotonic()
                self._ask()

    def _ask(self) -> None:
        """After a failure see whether the brokers are back: nobody may send a request while the health says that they are not."""
        try:
            self.metadata(_ASK_SECONDS)
        except KafkaException:
            return
        self.failure = None
        self.problem = ""

    def _delivered(self, waiter: _Waiter, size: int, error: KafkaError | None, message: Message) -> None:
        self._ended(size)
        loop, future = waiter
        if error is None:
            self.failure = None
            _settle(loop, future, message.offset() or 0)
            return
        meaning = self._meaning(error)
        if not isinstance(meaning, IntakeTooLarge):
            self.failure = meaning
        if error.fatal():
            self._renew()
        _settle(loop, future, meaning)

    def _ended(self, size: int) -> None:
        with self._lock:
            self._under_way -= 1
            self.queued_bytes -= size

    def _renew(self) -> None:
        """After a fatal error, which only an idempotent producer has, begin with a new one; nothing unacknowledged is lost by us."""
        with self._lock:
            if self._closed:
                return
            old, self._producer = self._producer, Producer(self._properties, logger=_log)
        threading.Thread(target=_abandon, args=(old,), name="runrecord-kafka-abandon", daemon=True).start()

    def _connection(self, error: KafkaError) -> None:
        if error.name() not in QUIET:
            self.problem = error.name()
        if error.code() == KafkaError._ALL_BROKERS_DOWN or error.fatal():  # noqa: SLF001 - so they are called there
            self.failure = self._meaning(error)

    def _meaning(self, error: KafkaError) -> IntakeError:
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return IntakeTooLarge(
                "the request is larger than a message of the topic may be",
                next_step="raise service.intake.kafka.producer.max_message_bytes, and max.message.bytes of the topic",
            )
        return IntakeFull(
            f"Kafka did not take a request ({error.name()}; the connection: {self.problem or 'no error'})",
            next_step="look at the brokers of service.intake.kafka; requests are refused, retryable, until they answer",
        )


def _abandon(producer: Producer) -> None:
    producer.purge()
    producer.flush()


def _settle(loop: asyncio.AbstractEventLoop, future: asyncio.Future[int], result: int | IntakeError) -> None:
    def tell() -> None:
        if future.done():
            return
        if isinstance(result, int):
            future.set_result(result)
        else:
            future.set_exception(result)

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:  # the loop is closed: nobody waits any more
        _log.debug("an event loop closed before its request was acknowledged")
