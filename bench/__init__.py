# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Measurements, as ratios inside one run. ``python -m bench`` prints the tables."""
