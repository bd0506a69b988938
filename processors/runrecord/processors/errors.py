# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What can go wrong in a processor: one family, and no message ever carries content.

::

    ProcessorError
    ├── PolicyError            a policy or a rule file that cannot be used
    ├── EngineUnavailableError a pattern engine that was asked for by name is not there
    ├── RedactionError         a request that could not be redacted and must not be forwarded
    ├── ContentStoreError      a large text that could not be stored
    ├── QuarantineError        a request that could not be set aside, or not be read again
    ├── CompatError            a request that a compatibility processor could not translate
    └── ProjectionError        a request from which no ledger entries can be made
"""

from __future__ import annotations


class ProcessorError(Exception):
    """Base of everything that the processors raise on purpose."""


class PolicyError(ProcessorError):
    """A policy or a rule file is wrong; the message names the key and the next step."""


class EngineUnavailableError(ProcessorError):
    """A pattern engine asked for by name is missing, or refuses this many rules."""


class RedactionError(ProcessorError):
    """A request could not be redacted; it must not be forwarded as it is.

    Attributes:
        disposition: What the policy wants done with the request: ``reject`` or ``quarantine``.
        malformed: The bytes are no export request, so sending them again cannot help.
        temporary: What failed may work again soon, so sending the request again can help.
    """

    def __init__(
        self, message: str, *, disposition: str = "reject", malformed: bool = False, temporary: bool = False
    ) -> None:
        super().__init__(message)
        self.disposition = disposition
        self.malformed = malformed
        self.temporary = temporary


class ContentStoreError(ProcessorError):
    """A large text could not be stored, so nothing may refer to it."""


class QuarantineError(ProcessorError):
    """A request could not be set aside, or what was set aside cannot be read."""


class CompatError(ProcessorError):
    """A compatibility processor met a request that it cannot translate."""


class ProjectionError(ProcessorError):
    """A request from which no ledger entries can be made."""
