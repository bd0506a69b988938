# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the writer and the verifier of audit bundles agree on: types, and the names of the files."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from runrecord.semconv import SCHEMA_BASE_URL

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = f"{SCHEMA_BASE_URL}/agent-run-audit/v1"
STATEMENT: Final = "statement.dsse.json"
SUFFIX: Final = ".auditbundle.zip"
ENTRIES: Final = "entries.jsonl"
README: Final = "README.txt"
REPORT: Final = "report.html"
POLICY: Final = "policy.txt"
DISCLOSURES: Final = "disclosures.json"
MAX_RECORDS: Final = 200_000
"""Most entries of a bundle."""
MAX_PROOF_FILES: Final = 10_000
"""Most entries that have a proof file each; the proofs of more stand in one file."""


def log_name(origin: str) -> str:
    """Return the name of a log's files in a bundle: its origin, with a dash for every character that is not portable."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", origin).lstrip("._-")[:64] or "log"


def proof_path(log: str, index: int) -> str:
    """Return the name of an entry's proof in a bundle."""
    return f"proofs/{log}/{index}.tlog-proof"


def rotation_path(log: str, index: int) -> str:
    """Return the name of the proof of a change of a log's key, stated in the entry with this index."""
    return f"keys/{log}/{index}.tlog-proof"


def digest(data: bytes) -> str:
    """Return the digest of a file as a statement writes it."""
    return f"sha256:{sha256(data).hexdigest()}"


def entries_path(log: str) -> str:
    """Return the name of a log's entries in a bundle."""
    return f"entries/{log}.bin"


def checkpoint_path(log: str, size: int) -> str:
    """Return the name of a log's checkpoint in a bundle."""
    return f"checkpoints/{log}-{size}.note"


def timestamp_path(log: str, size: int) -> str:
    """Return the name of the time stamp of a checkpoint in a bundle, if it has one."""
    return f"timestamps/{log}-{size}.tsr"


def proofs_path(log: str) -> str:
    """Return the name of the one file with all proofs of a log, in a bundle with many entries."""
    return f"proofs/{log}.bin"


def statement_path(log: str, index: int) -> str:
    """Return the name of a statement of the log about itself: its proof, with the entry as the extra data."""
    return f"statements/{log}/{index}.tlog-proof"


def consistency_path(log: str, size: int) -> str:
    """Return the name of the proof that an older or newer checkpoint belongs to the same log as that of the bundle."""
    return f"consistency/{log}-{size}.txt"
