# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""One exporter's way through a topic of Kafka: a member of its consumer group."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runrecord.exporters.errors import IntakeStopped
from runrecord.exporters.intake.frame import IntakeRecord
from runrecord.exporters.intake.kafka_message import decode
from runrecord.exporters.intake.progress import Progress

_log = logging.getLogger(__name__)
_POLL_SECONDS: Final = 0.05
_LOOK_SECONDS: Final = 0.2
_BUFFER_BYTES: Final = 16 << 20
_COMMITTED_SECONDS: Final = 5.0
_SESSION_MS: Final = 10_000
"""After so long others take over from one that was killed; brokers allow no less than 6 s by default."""
_MOVED: Final = frozenset(
    {
        KafkaError._NO_OFFSET,  # noqa: SLF001 - so they are called there
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
    }
)
"""What a commit fails with when its partitions belong to another member now: that one reads the records again."""


class KafkaSource:
    """Reads the partitions that the group gives it, ahead and into a bounded buffer; see `IntakeSource`.

    A thread of its own polls all the time, so that a consumer whose back end is away for hours stays a member of the group: when
    the buffer is full, its partitions are paused. Only that thread calls the client, which is not made for several.

    Attributes:
        name: Of the exporter.
    """

    def __init__(self, name: str, properties: Mapping[str, Any], topic: str, group: str) -> None:
        """Join the group.

        Args:
            name: Of the exporter.
            properties: Of librdkafka.
            topic: What is read.
            group: The consumer group.
        """
        self.name = name
        self._topic = topic
        self._lock = threading.Lock()
        self._buffer: deque[IntakeRecord] = deque()
        self._buffered = 0
        self._progress: dict[int, Progress] = {}
        self._committed: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._looked = 0.0
        self._commits: list[Future[None]] = []
        self._position = 0
        self._paused = self._closing = False
        self._failure: IntakeStopped | None = None
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None
        self._consumer = Consumer(
            {
                **properties,
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": _SESSION_MS,
                "partition.assignment.strategy": "cooperative-sticky",
                "queued.max.messages.kbytes": _BUFFER_BYTES >> 10,
                "error_cb": self._error,
            },
            logger=_log,
        )
        self._thread = threading.Thread(target=self._run, name=f"runrecord-kafka-{name}", daemon=True)
        self._thread.start()

    @property
    def position(self) -> int:
        """How many records were read or passed over."""
        return self._position

    @property
    def backlog_records(self) -> int:
        """How many records of its partitions are not committed, as far as the brokers have told."""
        with self._lock:
            starts = {
                partition: self._committed.get(partition, progress.finished)
                for partition, progress in self._progress.items()
            }
        return sum(max(0, self._ends.get(partition, 0) - start) for partition, start in starts.items())

    @property
    def backlog_bytes(self) -> int:
        """How many bytes were fetched and not read."""
        return self._buffered

    def oldest_age_seconds(self) -> float:
        """Return the age of the oldest record that was fetched and not read."""
        with self._lock:
            received = self._buffer[0].received_unix_nano if self._buffer else None
        return 0.0 if received is None else max(0.0, time.time() - received / 1e9)

    async def wait(self) -> None:
        """Return when there is something to read, or it was closed."""
        loop = asyncio.get_running_loop()
        while True:
            sleeper: asyncio.Future[None] = loop.create_future()
            with self._lock:
                if self._buffer or self._closing or self._failure is not None:
                    return
                self._waiting = loop, sleeper
            await sleeper

    def read(
        self,
        *,
        max_records: int = 256,
        max_bytes: int = 8 << 20,
        wanted: Callable[[IntakeRecord], bool] | None = None,
    ) -> list[IntakeRecord]:
        """Take records out of the buffer.

        Args:
            max_records: At most so many.
            max_bytes: Stop after the record that reaches this many bytes.
            wanted: Records for which it is false are passed over.

        Returns:
            The records, none if there are no new ones.

        Raises:
            IntakeStopped: The group can't be read any more.
        """
        records: list[IntakeRecord] = []
        size = 0
        with self._lock:
            if self._failure is not None:
                raise self._failure
            while self._buffer and len(records) < max_records and size < max_bytes:
                record = self._buffer.popleft()
                self._buffered -= len(record.body)
                self._position += 1
                size += len(record.body)
                if wanted is None or wanted(record):
                    records.append(record)
                else:
                    self._progress[record.partition].done(record.sequence)
            # Its partitions may have gone to another member since `wait`: that is no end.
            self._position += not records and not self._closing
        return records

    def done(self, records: Iterable[IntakeRecord]) -> None:
        """Note that records are done with, in any order; those of partitions that went to another member do not count."""
        with self._lock:
            for record in records:
                if (progress := self._progress.get(record.partition)) is not None:
                    progress.done(record.sequence)

    def commit(self) -> None:
        """Commit offsets up to the first record of each partition that is not done.

        Raises:
            IntakeStopped: The brokers don't answer; some records would come a second time.
        """
        answer: Future[None] = Future()
        with self._lock:
            if self._closing:
                return
            self._commits.append(answer)
        try:
            answer.result()
        except KafkaException as error:
            raise IntakeStopped(
                f"offsets of {self.name} can't be committed ({error.args[0].name()})",
                next_step="look at the brokers of service.intake.kafka",
            ) from error

    def close(self) -> None:
        """Leave the group."""
        with self._lock:
            self._closing = True
        self._wake()
        self._thread.join()

    # -- in its thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._consumer.subscribe(
                [self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
            )
            while not self._closing:
                message = self._consumer.poll(_POLL_SECONDS)
                if message is not None:
                    self._take(message)
                self._pause_or_resume()
                self._answer_commits()
                self._look_ahead()
        except Exception as error:  # noqa: BLE001 - the exporter's health says it, the others go on
            self._failure = IntakeStopped(
                f"{self.name} can't read Kafka any more ({type(error).__name__})",
                next_step="restart the gateway",
            )
            self._wake()
        finally:
            with self._lock:
                self._closing = True
            self._answer_commits()
            self._consumer.close()

    def _take(self, message: Message) -> None:
        if (error := message.error()) is not None:
            self._error(error)
            return
        partition, offset = message.partition(), message.offset()
        if partition is None or offset is None:
            return
        record = decode(message)
        with self._lock:
            progress = self._progress.setdefault(partition, Progress(offset))
            if record is None:
                progress.passed(offset)
                _log.warning("a message of %s that no gateway wrote is passed over", self._topic)
                return
            progress.read(offset)
            self._buffer.append(record)
            self._buffered += len(record.body)
        self._wake()

    def _pause_or_resume(self) -> None:
        full = self._buffered > (_BUFFER_BYTES // 2 if self._paused else _BUFFER_BYTES)
        if full != self._paused:
            self._paused = full
            change = self._consumer.pause if full else self._consumer.resume
            change(self._consumer.assignment())

    def _answer_commits(self) -> None:
        with self._lock:
            answers, self._commits = self._commits, []
        if not answers:
            return
        try:
            self._commit(None)
        except Exception as error:  # noqa: BLE001 - those who wait for it get it
            for answer in answers:
                answer.set_exception(error)
        else:
            for answer in answers:
                answer.set_result(None)

    def _commit(self, partitions: Collection[int] | None) -> None:
        """Commit what is done of these partitions, or of all."""
        with self._lock:
            ends = {
                partition: progress.finished
                for partition, progress in self._progress.items()
                if (partitions is None or partition in partitions)
                and progress.finished > self._committed.get(partition, -1)
            }
        if not ends:
            return
        offsets = [TopicPartition(self._topic, partition, end) for partition, end in ends.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() in _MOVED:
                return
            raise
        with self._lock:
            self._committed |= {p: end for p, end in ends.items() if p in self._progress}

    def _look_ahead(self) -> None:
        """Note where the partitions end, as the last answers of the brokers told."""
        if time.monotonic() < self._looked + _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        for partition in list(self._progress):
            with contextlib.suppress(KafkaException):  # nothing was fetched of it yet
                known = TopicPartition(self._topic, partition)
                self._ends[partition] = self._consumer.get_watermark_offsets(known, cached=True)[1]

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._paused = False  # what is new is not paused; the rest is once more if the buffer is still full
        try:
            known = consumer.committed(partitions, timeout=_COMMITTED_SECONDS)
        except KafkaException:
            return
        with self._lock:
            for each in known:
                if each.offset >= 0:
                    self._progress.setdefault(each.partition, Progress(each.offset))
                    self._committed.setdefault(each.partition, each.offset)

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit what is done in partitions that another member reads from now on, and forget them."""
        try:
            self._commit({each.partition for each in partitions})
        except KafkaException as error:
            _log.info(
                "%s: offsets of a partition that moved were not committed: %s",
                self.name,
                error.args[0].name(),
            )
        self._lost(_, partitions)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        gone = {each.partition for each in partitions}
        with self._lock:
            kept = [record for record in self._buffer if record.partition not in gone]
            self._buffer = deque(kept)
            self._buffered = sum(len(record.body) for record in kept)
            for partition in gone:
                self._progress.pop(partition, None)
                self._committed.pop(partition, None)

    def _error(self, error: KafkaError) -> None:
        _log.log(
            logging.DEBUG if error.retriable() else logging.INFO, "%s: Kafka: %s", self.name, error.name()
        )

    def _wake(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        loop, sleeper = waiting
        try:
            loop.call_soon_threadsafe(lambda: None if sleeper.done() else sleeper.set_result(None))
        except RuntimeError:  # the loop is closed
            _log.debug("%s: nobody waits any more", self.name)
