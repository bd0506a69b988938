# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between a redacted request and its destination: one family of exceptions.

```
ExporterError
└── IntakeError
    ├── IntakeFull       retryable: at its limit of bytes or age, or the disk is full
    ├── IntakeTooLarge   one request is larger than what it stores in takes; a part of it may not be
    ├── IntakeStopped    an fsync failed, or the log was closed; nothing more is accepted
    ├── IntakeLocked     another process has it open
    ├── IntakeCorrupt    bytes that were acknowledged can't be read back
    └── IntakeUnusable   its directory can't be created, read or written
```
"""

from __future__ import annotations


class ExporterError(Exception):
    """Base of every error that `runrecord.exporters` raises on purpose.

    Attributes:
        next_step: What the reader of the message can do about it; may be empty.
    """

    def __init__(self, message: str, *, next_step: str = "") -> None:
        """Keep the next step beside the message.

        Args:
            message: What is wrong and where. Never content of a request.
            next_step: What the reader can do about it.
        """
        super().__init__(message)
        self.next_step = next_step


class IntakeError(ExporterError):
    """Base of the errors of the intake log."""


class IntakeFull(IntakeError):  # noqa: N818 - the name says the state; callers answer "retry later"
    """The intake log is at one of its limits; the request was not stored and may be sent again.

    Attributes:
        retry_after: Seconds after which a retry makes sense.
    """

    def __init__(self, message: str, *, next_step: str = "", retry_after: float = 5.0) -> None:
        """Keep the delay beside the message.

        Args:
            message: Which limit was met.
            next_step: How to raise it or make room.
            retry_after: Seconds after which a retry makes sense.
        """
        super().__init__(message, next_step=next_step)
        self.retry_after = retry_after


class IntakeTooLarge(IntakeError):  # noqa: N818
    """The request is larger than a record may be; it was not stored, and will not be next time."""


class IntakeStopped(IntakeError):  # noqa: N818
    """The log accepts nothing more: an fsync failed, or it was closed."""


class IntakeLocked(IntakeError):  # noqa: N818
    """Another process has this intake log open."""


class IntakeCorrupt(IntakeError):  # noqa: N818
    """Bytes that had been synced, and so may have been acknowledged, are not what was written."""


class IntakeUnusable(IntakeError):  # noqa: N818
    """The directory of the intake log can't be created, read or written."""
