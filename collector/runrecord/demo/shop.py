# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The shop behind the refund agents: its customers, its invoices, its payments and its refund policy.

Nothing here knows of an agent SDK or of telemetry; both refund agents, LangGraph and OpenAI Agents, sell from it. The records
hold an e-mail address, a card number and an API key on purpose: they are what the demo must keep out of every trace.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

POLICY_ID = "refunds"
POLICY_VERSION = "14"
APPROVAL_LIMIT_USD = 50.0
CHARGEBACK_WINDOW_DAYS = 180

# Not a live key: put together here so that no secret scanner takes the source for a leak.
_API_KEY = "sk_live_" + "51H8rUnRecordDemoKey" + "9xQz7LmT"


@dataclass(frozen=True)
class Customer:
    """A customer, with the personal data that a support agent gets to see."""

    id: str
    name: str
    email: str
    card: str
    days_since_chargeback: int | None
    note: str


@dataclass(frozen=True)
class Invoice:
    """One paid invoice; ``amount`` in US dollars."""

    id: str
    customer_id: str
    amount: float


_CUSTOMERS = {
    customer.id: customer
    for customer in (
        Customer(
            "c-100", "Ada Example", "ada@mail.example.org", "4111 1111 1111 1111", None,
            f"Integrates through our API with {_API_KEY}.",
        ),
        Customer("c-200", "Bo Example", "bo@mail.example.org", "5555 5555 5555 4444", 41, "Disputed a payment in spring."),
        Customer("c-300", "Cy Example", "cy@mail.example.org", "4012 8888 8888 1881", None, "Prefers to be called."),
    )
}  # fmt: skip
_INVOICES = (
    Invoice("inv-7001", "c-100", 120.0),
    Invoice("inv-7002", "c-200", 42.0),
    Invoice("inv-7003", "c-300", 310.0),
)


def customer(customer_id: str) -> Customer:
    """The customer with this id.

    Raises:
        KeyError: There is none.
    """
    return _CUSTOMERS[customer_id]


def lookup_customer(customer_id: str) -> str:
    """Look a customer up; JSON with e-mail, card and notes."""
    return json.dumps(asdict(customer(customer_id)))


def list_invoices(customer_id: str) -> str:
    """List the invoices of a customer; a JSON array."""
    return json.dumps([asdict(invoice) for invoice in _INVOICES if invoice.customer_id == customer_id])


def create_refund(invoice_id: str, amount: float) -> str:
    """Pay ``amount`` US dollars of an invoice back; JSON with the refund's id.

    The payment is one line appended to the file named by ``SHOP_PAYMENTS``: the side effect that the demo then asks about.
    """
    payments = Path(os.environ.get("SHOP_PAYMENTS", "payments.jsonl"))
    number = len(payments.read_text().splitlines()) + 1 if payments.exists() else 1
    refund = {"refund_id": f"re-{number:04d}", "invoice_id": invoice_id, "amount": amount, "currency": "USD"}
    with payments.open("a") as file:
        file.write(json.dumps(refund) + "\n")
    return json.dumps(refund)


def has_recent_chargeback(invoice_id: str) -> bool:
    """Whether the customer of this invoice had a chargeback inside the policy's window."""
    (invoice,) = [invoice for invoice in _INVOICES if invoice.id == invoice_id]
    days = customer(invoice.customer_id).days_since_chargeback
    return days is not None and days <= CHARGEBACK_WINDOW_DAYS


def needs_a_person(invoice_id: str, amount: float) -> bool:
    """Whether a person must agree: the amount is over the limit and the policy does not forbid the refund anyway."""
    return amount > APPROVAL_LIMIT_USD and not has_recent_chargeback(invoice_id)


def request_text(customer_id: str) -> str:
    """What the customer wrote: a prompt with personal data in it."""
    writer = customer(customer_id)
    return f"Hello, this is {writer.email}, customer {writer.id}. Please refund my last invoice to card {writer.card}."
