# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A refund agent: an ordinary program of OpenAI's Responses API, whose tools are on a hosted MCP server.

It imports nothing of Runrecord's telemetry. It is run as anyone would run it, in two processes when a person must agree::

    opentelemetry-instrument python refund_agent.py start  --thread t-1 --customer c-100
    opentelemetry-instrument python refund_agent.py resume --thread t-1 --customer c-100 --decision approve --reviewer u-17

Take the model server away, and set OPENAI_API_KEY and the address of an MCP server, and it is a real one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from model_server import model_server
from openai import OpenAI

from runrecord.demo import shop

SHOP: Any = {
    "type": "mcp",
    "server_label": "shop",
    "server_url": "https://mcp.shop.example.org",
    "require_approval": {"always": {"tool_names": ["create_refund"]}},
}


def main() -> None:
    """Start a run, or answer what the one of a thread waits for."""
    parser = argparse.ArgumentParser(description="A refund agent.")
    parser.add_argument("action", choices=["start", "resume"])
    parser.add_argument("--thread", required=True)
    parser.add_argument("--customer", required=True)
    parser.add_argument("--states", default=".", help="directory in which a run that waits is kept")
    parser.add_argument("--decision", choices=["approve", "reject"], default="approve")
    parser.add_argument("--reviewer", default="u-17")
    options = parser.parse_args()

    file = Path(options.states) / f"{options.thread}.json"
    # What Runrecord should know of the run goes where the API has room for it; without it, less is said.
    metadata = {"customer": options.customer, "gen_ai.agent.name": "refund-agent"}
    request: dict[str, Any] = {"model": "gpt-5", "tools": [SHOP], "metadata": metadata}
    with model_server() as address, OpenAI(base_url=address, api_key="none") as client:
        if options.action == "start":
            said = [{"role": "user", "content": shop.request_text(options.customer)}]
            response = client.responses.create(input=said, **request)
        else:
            saved = json.loads(file.read_text())
            metadata["runrecord.approval.actor.ref"] = options.reviewer
            answers = [
                {
                    "type": "mcp_approval_response",
                    "approval_request_id": request_id,
                    "approve": options.decision == "approve",
                }
                for request_id in saved["requests"]
            ]
            response = client.responses.create(
                input=answers, previous_response_id=saved["response"], **request
            )
    waiting = [item.id for item in response.output if item.type == "mcp_approval_request"]
    if waiting:
        file.write_text(json.dumps({"response": response.id, "requests": waiting}))
        print("waits for a person")
    else:
        print(response.output_text or "Refused.")


if __name__ == "__main__":
    main()
