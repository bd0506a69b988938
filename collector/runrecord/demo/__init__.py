# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The main job, end to end: a refund agent and what becomes of its runs."""
