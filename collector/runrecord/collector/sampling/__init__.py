# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Tail sampling: which runs a tracing back end gets whole. The ledger is not asked: it has every record before this."""

from runrecord.collector.sampling.reasons import Reason, Seen, look
from runrecord.collector.sampling.sampler import TailSampler
from runrecord.collector.sampling.spool import Fragment, Spool

__all__ = ["Fragment", "Reason", "Seen", "Spool", "TailSampler", "look"]
