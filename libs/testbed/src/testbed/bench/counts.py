"""How many messages a nats-server carried: a price of a call that no machine's speed changes."""

from dataclasses import dataclass

import httpx


@dataclass(frozen=True, slots=True)
class Messages:
    """Since the server's start: what clients published, and what was delivered to them."""

    published: int = 0
    delivered: int = 0


async def messages(monitor_url: str) -> Messages:
    """Of the server whose monitoring is at `monitor_url`. Raises httpx.HTTPError."""
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{monitor_url}/varz")
        answer.raise_for_status()
        said = answer.json()
    return Messages(said["in_msgs"], said["out_msgs"])
