# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The places that a log can be kept in: a directory, PostgreSQL, an object store."""
