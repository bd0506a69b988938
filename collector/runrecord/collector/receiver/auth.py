# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Who may send: the bearer token of a client, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac

from runrecord.collector.bearer_tokens import BearerTokens
from runrecord.collector.receiver.status import Code, Refusal


class Authenticator:
    """Lets in who has one of the tokens."""

    def __init__(self, tokens: BearerTokens) -> None:
        """Take the tokens.

        Args:
            tokens: Those of which a client must have one.
        """
        self._tokens = tokens
        self._known: tuple[str, ...] = ()
        self._digests: list[bytes] = []

    def check(self, authorization: str) -> None:
        """Let a client in.

        Args:
            authorization: The value of its header; empty if it sent none.

        Raises:
            Refusal: It has none of the tokens.
        """
        if (known := self._tokens.current()) is not self._known:
            self._known, self._digests = known, [_digest(token) for token in known]
        scheme, _, token = authorization.strip().partition(" ")
        digest = _digest(token.strip())
        matches = [hmac.compare_digest(digest, each) for each in self._digests]
        if scheme.lower() == self._tokens.scheme.lower() and any(matches):
            return
        raise Refusal(
            Code.UNAUTHENTICATED,
            f"the header authorization must hold a valid token: {self._tokens.scheme} TOKEN",
            headers=(("www-authenticate", self._tokens.scheme),),
        )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
