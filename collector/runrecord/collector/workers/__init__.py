# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway in several processes: receivers that share the ports, one process that consumes, and a supervisor."""

from runrecord.collector.workers.supervisor import Supervisor

__all__ = ["Supervisor"]
