# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""OTLP in: gRPC and HTTP in front of one way in that checks, redacts, stores and then acknowledges."""

from runrecord.collector.receiver.accept import Acceptor
from runrecord.collector.receiver.grpc import GrpcReceiver
from runrecord.collector.receiver.http import HttpReceiver
from runrecord.collector.receiver.status import Code, Refusal

__all__ = ["Acceptor", "Code", "GrpcReceiver", "HttpReceiver", "Refusal"]
