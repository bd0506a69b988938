# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What reads the intake log: a sequencer per ledger, a forwarder per back end, each with its own cursor."""

from runrecord.collector.consumers.base import IntakeConsumer
from runrecord.collector.consumers.forwarder import Forwarder
from runrecord.collector.consumers.sequencer import LedgerSequencer

__all__ = ["Forwarder", "IntakeConsumer", "LedgerSequencer"]
