# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The rule in OpenFGA, at the server that ``FGA_API_URL`` names."""

import os

from openfga_sdk import CreateStoreRequest, WriteAuthorizationModelRequest
from openfga_sdk.client import ClientConfiguration
from openfga_sdk.client.models import ClientCheckRequest, ClientTuple
from openfga_sdk.models import RelationshipCondition
from openfga_sdk.sync import OpenFgaClient

# type invoice
#   relations
#     define can_refund: [agent with up_to_50_usd]
# condition up_to_50_usd(cents: int) { cents <= 5000 }
MODEL = {
    "schema_version": "1.1",
    "type_definitions": [
        {"type": "agent"},
        {
            "type": "invoice",
            "relations": {"can_refund": {"this": {}}},
            "metadata": {
                "relations": {
                    "can_refund": {
                        "directly_related_user_types": [{"type": "agent", "condition": "up_to_50_usd"}]
                    }
                }
            },
        },
    ],
    "conditions": {
        "up_to_50_usd": {
            "name": "up_to_50_usd",
            "expression": "cents <= 5000",
            "parameters": {"cents": {"type_name": "TYPE_NAME_INT"}},
        }
    },
}


def may_refund(agent: str, invoice_id: str, amount: float) -> bool:
    """Ask OpenFGA, in a store that is made for the occasion."""
    configuration = ClientConfiguration(api_url=os.environ.get("FGA_API_URL", "http://localhost:8080"))
    with OpenFgaClient(configuration) as client:
        client.set_store_id(client.create_store(CreateStoreRequest(name="refunds")).id)
        written = client.write_authorization_model(WriteAuthorizationModelRequest(**MODEL))
        client.set_authorization_model_id(written.authorization_model_id)
        user, thing = f"agent:{agent}", f"invoice:{invoice_id}"
        up_to_50_usd = RelationshipCondition(name="up_to_50_usd")
        client.write_tuples(
            [ClientTuple(user=user, relation="can_refund", object=thing, condition=up_to_50_usd)]
        )
        cents = {"cents": round(amount * 100)}
        asked = ClientCheckRequest(user=user, relation="can_refund", object=thing, context=cents)
        allowed: bool = client.check(asked).allowed
        return allowed
