# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What holds for every policy engine holds for this one; the contract is in ``tests/plugins/``, which must be importable."""

from policy_engine_contract import Contract


class TestCasbin(Contract):
    engine = "casbin"
