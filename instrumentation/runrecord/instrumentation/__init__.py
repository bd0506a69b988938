# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Recording what an agent did: the manual API, and one integration per agent SDK.

``recorder`` holds the calls; ``context_store`` keeps what links an approval to the run that asked for it.
"""

from runrecord.instrumentation import recorder
from runrecord.instrumentation.context_store import (
    ContextKey,
    ContextStore,
    FileContextStore,
    MemoryContextStore,
    SpanRef,
    StoredApproval,
    StoredContext,
)
from runrecord.instrumentation.errors import DependencyConflictError, InstrumentationError
from runrecord.instrumentation.recorder import Recorder

__all__ = [
    "ContextKey",
    "ContextStore",
    "DependencyConflictError",
    "FileContextStore",
    "InstrumentationError",
    "MemoryContextStore",
    "Recorder",
    "SpanRef",
    "StoredApproval",
    "StoredContext",
    "recorder",
]
