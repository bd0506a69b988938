# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The processor that turns governed spans and log events into entries of the ledger."""

from __future__ import annotations

from runrecord.processors.errors import ProjectionError
from runrecord.processors.ledger.projection import Projection, project, project_counted

__all__ = ["Projection", "ProjectionError", "project", "project_counted"]
