# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
# Generated from registry/*.yaml by: python -m runrecord.semconv.generate. Do not edit.
"""The names of the metrics, and the unit of each."""

from collections.abc import Mapping
from typing import Final

__all__ = [
    "UNITS",
]

UNITS: Final[Mapping[str, str]] = {}
"""The unit of each metric, by its name."""
