# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where a log is kept, as text: a directory, or the address of a store."""

from __future__ import annotations

import os

from runrecord.ledger.errors import LedgerError
from runrecord.ledger.stores import objects, postgres
from runrecord.ledger.stores.base import Store
from runrecord.ledger.stores.directory import DirectoryStore

Location = str | os.PathLike[str] | Store
"""A directory, the address of a store, or a store itself."""


def default_location() -> str:
    """Return the ledger of the environment: ``RUNRECORD_LEDGER``, a directory or an address; or ``ledger``, in the working directory."""
    return os.environ.get("RUNRECORD_LEDGER") or "ledger"


def open_store(location: Location) -> Store:
    """Return the store of a location; nothing is made or connected to yet.

    Args:
        location: A directory; an address ``postgresql://USER@HOST/DATABASE?log=NAME`` (:class:`PostgresStore`) or
            ``s3://BUCKET/PREFIX?region=NAME`` (:class:`ObjectStore`); or a store.

    Raises:
        LedgerError: It is an address of no known kind, or a package for it is missing.
    """
    if not isinstance(location, (str, os.PathLike)):
        return location
    text = os.fspath(location)
    scheme, separator, _ = text.partition("://")
    if not separator:
        return DirectoryStore(text)
    if scheme in postgres.SCHEMES:
        return postgres.PostgresStore(text)
    if scheme in objects.SCHEMES:
        return objects.ObjectStore.of(text)
    raise LedgerError(
        "a ledger is kept in a directory, or in a store whose address begins with postgresql:// or s3://",
        "name a directory without ://, or one of these",
    )
