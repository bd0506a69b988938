# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The exceptions of this portion.

InstrumentationError
    DependencyConflict   the installed SDK is outside of what an integration supports

Recording itself never raises into an application (see ``_safety``).
"""

from opentelemetry.instrumentation.dependencies import DependencyConflict, DependencyConflictError

__all__ = ["DependencyConflict", "DependencyConflictError", "InstrumentationError"]


class InstrumentationError(Exception):
    """Base of the errors that a user of an instrumentor can meet."""
