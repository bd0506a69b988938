# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What `runrecord redact` is made of: the policy it reads, the inputs, and what it shows."""
