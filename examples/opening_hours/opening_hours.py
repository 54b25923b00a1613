"""A tool service in a few lines, with nats-py alone: `python opening_hours.py [nats://HOST:PORT]`,
by default at NATS_URL.
"""

import asyncio
import json
import os
import signal
import sys
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import nats
from nats import micro
from nats.micro.request import Request
from nats.micro.service import EndpointConfig

ZONE = ZoneInfo("Europe/Berlin")
OPEN = {0: "8 to 12 and 2 to 5", 1: "8 to 12 and 2 to 5", 2: "8 to 12", 3: "8 to 12", 4: "8 to 12"}
DAYS = {"today": 0, "tomorrow": 1}
DESCRIPTION = "Look up when the clinic is open, for callers who ask for hours."
SCHEMA = {
    "type": "object",
    "properties": {"day": {"type": "string", "enum": list(DAYS), "description": "Which day."}},
    "required": ["day"],
    "additionalProperties": False,
}


async def answer(request: Request) -> None:
    """Arguments in, a JSON object for the model out; `spoken` is what the keypad menu says."""
    try:
        day = json.loads(request.data)["day"]
        date = datetime.now(ZONE) + timedelta(days=DAYS[day])
    except (ValueError, KeyError, TypeError):
        await request.respond(b'{"status":"failed","message":"day must be today or tomorrow"}')
        return
    hours = OPEN.get(date.weekday())
    spoken = f"{day.capitalize()} we are " + (f"open from {hours}." if hours else "closed.")
    found = {"day": f"{date:%A}", "hours": hours, "spoken": spoken}
    await request.respond(json.dumps(found).encode())


async def main(url: str) -> None:
    """Serve until SIGTERM or SIGINT; what came is answered first."""
    client = await nats.connect(url, name="opening-hours", max_reconnect_attempts=-1)
    service = await micro.add_service(
        client, name="opening-hours", version="1.0.0", description="The clinic's opening hours"
    )
    metadata = {"description": DESCRIPTION, "schema": json.dumps(SCHEMA)}
    await service.add_endpoint(
        EndpointConfig(
            name="opening_hours", subject="tools.opening_hours", handler=answer, metadata=metadata
        )
    )
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await client.drain()


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("NATS_URL")
    asyncio.run(main(given or "nats://127.0.0.1:4222"))
