# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`google.rpc.Status` and its details; their package has no types, so this is the one place that imports it."""

from __future__ import annotations

from google.rpc.error_details_pb2 import BadRequest, RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

__all__ = ["BadRequest", "RetryInfo", "Status"]
