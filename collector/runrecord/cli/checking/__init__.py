# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What ``runrecord check`` consists of: inputs, a live receiver, and three forms of report."""
