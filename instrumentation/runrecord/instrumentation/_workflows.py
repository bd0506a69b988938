# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Whether code is that of a Temporal workflow: it runs again on every replay, so that only Temporal's integration records it."""

import sys


def in_temporal_workflow() -> bool:
    """Say whether this code is a workflow's; Temporal is not imported to find out."""
    temporal = sys.modules.get("temporalio.workflow")
    return temporal is not None and temporal.in_workflow() is True
