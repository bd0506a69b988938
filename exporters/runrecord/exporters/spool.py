# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The intake log of an app: what is exported is durable on its disk first, and is sent behind that, also by a later process.

``RUNRECORD_SPOOL`` names a directory; it is for OTLP exporters. What announces itself (`runrecord.run.opened`,
`runrecord.tool.intent`) is durable when it was emitted, so before the tool runs; everything else when its batch was exported. What is
stored is redacted. Each process takes a directory of its own, the first that no living process has; what a dead one left in it is sent by
the next one. At its limit exports fail, and a `runrecord.gap` says so as soon as there is room.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runrecord.exporters.errors import IntakeError, IntakeLocked
from runrecord.exporters.gap_event import Gap, gap_request
from runrecord.exporters.intake import IntakeLimits, IntakeLog, IntakeRecord
from runrecord.exporters.payload import Exporter, Payload, sending
from runrecord.processors import Signal

RUNRECORD_SPOOL: Final = "RUNRECORD_SPOOL"
"""Environment variable: the directory of the spool; without it, what can't be sent is lost as the SDK loses it."""
LIMITS: Final = IntakeLimits(max_bytes=256 << 20, segment_bytes=4 << 20)

_logger = logging.getLogger(__name__)
_CURSOR: Final = "otlp"
_SCOPE: Final = "runrecord.exporters"
_ITEMS: Final = "items"
_MAX_PROCESSES: Final = 1024
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_TRIES: Final = 5
_REQUESTS: Final[dict[Signal, Callable[[bytes], Any]]] = {
    Signal.TRACES: ExportTraceServiceRequest.FromString,
    Signal.LOGS: ExportLogsServiceRequest.FromString,
}
_SUPPRESS: Final = getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")


class Spool:
    """The log of this process and the thread that sends what is in it. Thread-safe; a fork takes a log of its own.

    Attributes:
        root: The directory above those of all processes.
    """

    def __init__(self, root: Path, *, limits: IntakeLimits = LIMITS) -> None:
        """Take a directory; what was left in it is sent from now on, as soon as there is where to send.

        Args:
            root: The directory above those of all processes; made if it does not exist.
            limits: When it refuses.

        Raises:
            IntakeError: No directory can be used.
        """
        self.root = root
        self._limits = limits
        self._exporters: dict[Signal, Exporter] = {}
        self._users = 0
        self._lock = threading.RLock()
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._source = secrets.token_hex(8)
        self._gaps: dict[str, Gap] = {}
        self._stop = threading.Event()
        self._log, _ = next(_free(self.root, self._limits))
        self._thread: threading.Thread | None = None

    def attach(self, signal: Signal, exporter: Exporter) -> None:
        """Say where requests of a signal go: to an OTLP exporter that takes payloads; sending begins."""
        with self._lock:
            self._own_log()
            self._exporters[signal] = exporter
            self._users += 1
            self._start()

    def store(self, signal: Signal, body: bytes, items: int) -> bool:
        """Make a redacted request durable.

        Returns:
            False if there is no room, or the disk failed; then a gap is open.
        """
        with self._lock:
            log = self._own_log()
        try:
            self._tell_gaps(log)
            log.append_sync(signal, body, headers=((_ITEMS, str(items)),))
        except IntakeError as error:
            self._note("queue_full", items, str(error))
            return False
        return True

    def release(self, seconds: float) -> None:
        """Stop using it; the last user waits so long at most for what can still be sent. What can't stays for the next process."""
        with self._lock:
            self._users -= 1
            if self._users > 0 or self._pid != os.getpid():
                return
        deadline = time.monotonic() + seconds
        with suppress(IntakeError):
            self._tell_gaps(self._log)
        while self._thread is not None and self._thread.is_alive() and time.monotonic() < deadline:
            if self._log.committed(_CURSOR) >= self._log.next_sequence:
                break
            self._stop.wait(0.02)
        self._stop.set()
        if self._thread is not None:
            self._thread.join(seconds)
        self._log.close()
        for exporter in self._exporters.values():
            exporter.shutdown()

    def _own_log(self) -> IntakeLog:
        """Return the log of this process; in a fork of the one that made it, one of its own."""
        if self._pid != os.getpid():
            self._begin()  # what is inherited belongs to the parent, and its threads are not here
            self._start()
        return self._log

    def _start(self) -> None:
        if self._thread is None and self._exporters:
            self._thread = threading.Thread(target=self._send_all, name="runrecord-spool", daemon=True)
            self._thread.start()

    # -- sending, in its own thread --------------------------------------------------------------------------------

    def _send_all(self) -> None:
        token = otel_context.attach(otel_context.set_value(_SUPPRESS, True))
        try:
            for log, number in _free(self.root, self._limits, existing=True):
                self._drain(log)
                log.close()
                _logger.debug("sent what was left in %s", number)
                if self._stop.is_set():
                    return
            while not self._stop.is_set():
                self._drain(self._log)
                self._log.wait_beyond_sync(self._log.next_sequence, timeout=0.2)
        except Exception as error:  # noqa: BLE001 - telemetry never breaks the app; what is stored is sent by the next process
            _logger.warning("Sending from the spool stopped: %s", type(error).__qualname__)
        finally:
            otel_context.detach(token)

    def _drain(self, log: IntakeLog) -> None:
        """Send what is in a log, until nothing is left or it has to stop."""
        consumer = log.consumer(_CURSOR)
        failed: deque[tuple[IntakeRecord, int]] = deque()
        pause = _FIRST_PAUSE
        try:
            while not self._stop.is_set():
                batch = [(record, 0) for record in consumer.read(max_records=64)] if len(failed) < 64 else []  # noqa: PLR2004
                if not batch and not failed:
                    return
                batch, delivered = [*failed, *batch], set[Signal]()
                failed.clear()
                for record, tries in batch:
                    if not self._stop.is_set() and self._send(record):
                        consumer.done([record])
                        delivered.add(record.signal)
                    else:
                        failed.append((record, tries))
                if delivered:
                    failed = deque(self._give_up(failed, delivered, consumer.done))
                    pause = _FIRST_PAUSE
                consumer.commit()
                if failed and not delivered:
                    self._stop.wait(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            consumer.close()

    def _send(self, record: IntakeRecord) -> bool:
        exporter = self._exporters.get(record.signal)
        if exporter is None:
            return False
        items = int(dict(record.headers).get(_ITEMS, "1"))
        payload = Payload(items, record.body, None, _REQUESTS[record.signal])
        try:
            with sending(payload):
                result = exporter.export(payload)
        except Exception as error:  # noqa: BLE001 - as the SDK's processors do
            _logger.debug("an export failed with %s", type(error).__qualname__)
            return False
        return payload.taken and result.name == "SUCCESS"

    def _give_up(
        self,
        failed: deque[tuple[IntakeRecord, int]],
        delivered: set[Signal],
        done: Callable[[list[IntakeRecord]], None],
    ) -> Iterator[tuple[IntakeRecord, int]]:
        """Others of their signal were taken while these were not: after some tries they never will be."""
        for record, tries in failed:
            tries += record.signal in delivered  # noqa: PLW2901
            if tries < _TRIES:
                yield record, tries
            else:
                items = int(dict(record.headers).get(_ITEMS, "1"))
                self._note("refused", items, "it was refused where it was sent")
                done([record])

    # -- gaps ------------------------------------------------------------------------------------------------------

    def _note(self, reason: str, items: int, why: str) -> None:
        with self._lock:
            now = time.time_ns()
            if reason not in self._gaps:
                self._gaps[reason] = Gap(reason, now, now)
                _logger.warning("The spool in %s lost %d records: %s", self.root, items, why)
            self._gaps[reason].add(items)

    def _tell_gaps(self, log: IntakeLog) -> None:
        with self._lock:
            told, self._gaps = self._gaps, {}
        for reason, gap in told.items():
            try:
                body = gap_request(gap, source=self._source, scope=_SCOPE)
                log.append_sync(Signal.LOGS, body, headers=((_ITEMS, "1"),))
            except IntakeError:
                with self._lock:
                    later = self._gaps.setdefault(reason, gap)
                    if later is not gap:
                        later.join(gap)
                raise


def _free(root: Path, limits: IntakeLimits, *, existing: bool = False) -> Iterator[tuple[IntakeLog, int]]:
    """Yield logs that no living process has, with their numbers; only those with something left, if they must exist."""
    for number in range(_MAX_PROCESSES):
        directory = root / str(number)
        if existing and not directory.exists():
            return
        try:
            log = IntakeLog(directory, consumers=[_CURSOR], limits=limits)
        except IntakeLocked:
            continue
        yield log, number
    raise IntakeLocked(
        f"{_MAX_PROCESSES} processes have a spool in {root}",
        next_step=f"set {RUNRECORD_SPOOL} to another directory",
    )


_lock: Final = threading.Lock()
_spools: Final[dict[str, Spool]] = {}


def load_spool() -> Spool | None:
    """Return the spool of this process, made once for each directory that ``RUNRECORD_SPOOL`` names; None without one.

    Raises:
        IntakeError: The directory can't be used.
    """
    path = os.environ.get(RUNRECORD_SPOOL, "").strip()
    if not path:
        return None
    with _lock:
        if path not in _spools:
            _spools[path] = Spool(Path(path))
        return _spools[path]
