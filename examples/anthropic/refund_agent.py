# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A refund agent: an ordinary program of Anthropic's Managed Agents, whose tools are on an MCP server.

It imports nothing of Runrecord's telemetry. It is run as anyone would run it, in two processes when a person must agree::

    opentelemetry-instrument python refund_agent.py start  --thread t-1 --customer c-100
    opentelemetry-instrument python refund_agent.py resume --thread t-1 --customer c-100 --decision approve --reviewer u-17

Take the server away, and set ANTHROPIC_API_KEY, AGENT_ID and ENVIRONMENT_ID, and it is a real one.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from anthropic import Anthropic
from session_server import session_server

from runrecord.demo import shop


def main() -> None:
    """Start a session, or confirm what that of a thread waits for."""
    parser = argparse.ArgumentParser(description="A refund agent.")
    parser.add_argument("action", choices=["start", "resume"])
    parser.add_argument("--thread", required=True)
    parser.add_argument("--customer", required=True)
    parser.add_argument("--states", default=".", help="directory in which the session of a thread is kept")
    parser.add_argument("--decision", choices=["approve", "reject"], default="approve")
    parser.add_argument("--reviewer", default="u-17")
    options = parser.parse_args()

    file = Path(options.states) / f"{options.thread}.session"
    with session_server() as address, Anthropic(base_url=address, api_key="none") as client:
        if options.action == "start":
            session = client.beta.sessions.create(
                agent=os.environ.get("AGENT_ID", "agent_1"),
                environment_id=os.environ.get("ENVIRONMENT_ID", "env_1"),
                metadata={"customer": options.customer},
            )
            file.write_text(session.id)
            text = shop.request_text(options.customer)
            said = [{"type": "user.message", "content": [{"type": "text", "text": text}]}]
            print(turn(client, session.id, said))
        else:
            session_id = file.read_text()
            result = "allow" if options.decision == "approve" else "deny"
            answers = [
                {"type": "user.tool_confirmation", "tool_use_id": call_id, "result": result}
                for call_id in waiting(client, session_id)
            ]
            # Who answered goes where the API has room for it.
            who = {"runrecord.approval.actor.ref": options.reviewer}
            print(turn(client, session_id, answers, extra_headers=who))


def waiting(client: Anthropic, session_id: str) -> list[str]:
    """Return the ids of the calls that a session waits to be told of."""
    events = list(client.beta.sessions.events.list(session_id))
    idle = [event.stop_reason for event in events if event.type == "session.status_idle"]
    return idle[-1].event_ids if idle and idle[-1].type == "requires_action" else []


def turn(client: Anthropic, session_id: str, events: Any, **options: Any) -> str:
    """Send events and read what follows, until the session is idle."""
    said = ""
    with client.beta.sessions.events.stream(session_id) as stream:
        client.beta.sessions.events.send(session_id, events=events, **options)
        for event in stream:
            if event.type == "agent.message":
                said = "".join(part.text for part in event.content if part.type == "text")
            if event.type == "session.status_idle":
                if event.stop_reason.type == "requires_action":
                    return "waits for a person"
                return "Refused." if event.stop_reason.type == "refusal" else said
    return said


if __name__ == "__main__":
    main()
