# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A refund agent that asks a policy engine before it pays: the same rule, "not over 50 USD", in each of four engines.

This agent is a plain loop, so it says itself where its run begins; the engines know nothing of it::

    opentelemetry-instrument python refund_agent.py --engine cedar --customer c-100
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Callable

from runrecord.demo import shop
from runrecord.instrumentation import recorder

ENGINES = ["casbin", "cedar", "opa", "openfga"]


def create_refund(may_refund: Callable[..., bool], invoice_id: str, amount: float) -> str:
    """Pay an invoice back.

    Raises:
        PermissionError: The policy engine does not allow it.
    """
    if not may_refund("refund-agent", invoice_id, amount):
        raise PermissionError("over 50 USD")
    return shop.create_refund(invoice_id, amount)


def main() -> None:
    """Refund the invoice of a customer, if the engine allows it."""
    parser = argparse.ArgumentParser(description="A refund agent with a policy engine.")
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--customer", default="c-100")
    options = parser.parse_args()

    may_refund = importlib.import_module(f"{options.engine}_rule").may_refund
    (invoice,) = json.loads(shop.list_invoices(options.customer))
    arguments = {"invoice_id": invoice["id"], "amount": invoice["amount"]}
    with recorder.run(agent="refund-agent") as run, run.step("act"):
        try:
            with run.tool("create_refund", call_id="call-1", arguments=arguments, effect="pay") as call:
                call.result(create_refund(may_refund, **arguments))
            print("paid")
        except PermissionError as refusal:
            print(f"refused: {refusal}")


if __name__ == "__main__":
    main()
