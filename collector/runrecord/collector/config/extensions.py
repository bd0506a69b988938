# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`extensions:` of the configuration: what receivers and exporters share, in the collector's names."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from runrecord.collector.values import FilePath, HeaderName, HeaderValue, Seconds
from runrecord.exporters.settings_model import Section
from runrecord.processors.redaction.policy import Whole


class BearerTokenAuth(Section):
    """Who has one of the tokens may send (RFC 6750, section 2.1).

    Attributes:
        scheme: What stands before the token in the header ``authorization``.
        token: The token; from the environment as ``${env:NAME}``.
        tokens: Several, of which any one is enough: the old one and the new one while they are exchanged.
        filename: A file with one token a line; what follows white space is a comment. It is read again when it changes.
    """

    kind: Literal["bearertokenauth"] = "bearertokenauth"
    scheme: HeaderName = "Bearer"
    token: HeaderValue | None = None
    tokens: tuple[HeaderValue, ...] = ()
    filename: FilePath | None = None

    @model_validator(mode="after")
    def _one_source(self) -> BearerTokenAuth:
        if sum((self.token is not None, bool(self.tokens), self.filename is not None)) != 1:
            raise ValueError("name one of token, tokens and filename")
        if any(not value.get_secret_value().strip() for value in self.given):
            raise ValueError("a token must not be empty; is the variable set?")
        return self

    @property
    def given(self) -> tuple[SecretStr, ...]:
        """The tokens that are not in a file."""
        return self.tokens if self.token is None else (self.token,)


class MemoryLimiter(Section):
    """Refuses requests, retryable, before memory runs out. On by default.

    The soft limit is the limit without the spike. Above it requests are refused, above the limit memory is given back to the
    system as well; one request at a time is always taken, so that a gateway which stays above it still makes progress.

    Attributes:
        check_interval: Seconds from one measurement to the next.
        limit_mib: Most memory of the process; comes before the percentage.
        spike_limit_mib: What may be added between two measurements; a fifth of the limit by default.
        limit_percentage: The same, in percent of the memory that the process may have: the machine's, or its container's.
        spike_limit_percentage: The same.
    """

    kind: Literal["memory_limiter"] = "memory_limiter"
    check_interval: Seconds = Field(default=0.2, gt=0)
    limit_mib: Whole | None = Field(default=None, ge=1)
    spike_limit_mib: Whole | None = Field(default=None, ge=0)
    limit_percentage: Whole = Field(default=80, ge=1, le=100)
    spike_limit_percentage: Whole = Field(default=20, ge=0, le=100)

    @model_validator(mode="after")
    def _soft_is_less(self) -> MemoryLimiter:
        if self.limit_mib is None:
            if self.spike_limit_mib is not None:
                raise ValueError("spike_limit_mib goes with limit_mib")
            if self.spike_limit_percentage >= self.limit_percentage:
                raise ValueError("spike_limit_percentage must be less than limit_percentage")
        elif self.spike_limit_mib is not None and self.spike_limit_mib >= self.limit_mib:
            raise ValueError("spike_limit_mib must be less than limit_mib")
        return self


Extension = Annotated[BearerTokenAuth | MemoryLimiter, Field(discriminator="kind")]


class Auth(Section):
    """Who may send.

    Attributes:
        authenticator: The name of an extension.
    """

    authenticator: str
