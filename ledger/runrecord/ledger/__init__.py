# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The tamper-evident ledger: a C2SP tlog-tiles log that anyone can check offline."""

from __future__ import annotations

__all__: list[str] = []
