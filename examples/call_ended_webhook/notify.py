"""Posts a message when a call ends: `WEBHOOK_URL=https://... python notify.py`. nats-py alone.

It asks the log, so calls that end while it is away are told when it is back.
"""

import asyncio
import json
import os
import urllib.request
from datetime import datetime
from typing import Any

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

NAME = "call-ended-webhook"
URL = os.environ["WEBHOOK_URL"]
NATS_URL = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
AGAIN_S = 5


def told(began: dict[str, Any], ended: dict[str, Any]) -> str:
    """One line: who (masked), how long, and how it ended."""
    number = began.get("caller", "")
    who = f"{number[:3]}****{number[-4:]}" if number.startswith("+") else "a withheld number"
    since = began.get("at", ended["at"])
    took = datetime.fromisoformat(ended["at"]) - datetime.fromisoformat(since)
    minutes, seconds = divmod(round(took.total_seconds()), 60)
    return f"Call of {who} ended after {minutes}:{seconds:02} min: {ended['reason']}"


def post(key: str, text: str) -> None:
    """Raises OSError when the URL cannot be reached or does not answer 2xx."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    body = json.dumps({"text": text}).encode()
    request = urllib.request.Request(URL, body, headers)
    urllib.request.urlopen(request, timeout=10).close()


async def main() -> None:
    """Tell of every call that ends from the first start on, until interrupted."""
    client = await nats.connect(
        NATS_URL, name=NAME, inbox_prefix="_INBOX.subscriber", max_reconnect_attempts=-1
    )
    log = client.jetstream()
    from_now_on = ConsumerConfig(deliver_policy=DeliverPolicy.NEW, ack_wait=30)
    ends = await log.pull_subscribe("call.*.log.call_ended", NAME, "CALLS", from_now_on)
    print("waiting for calls to end", flush=True)
    while True:
        try:
            (message,) = await ends.fetch(1, timeout=30)
        except TimeoutError:
            continue
        ended = json.loads(message.data)
        try:
            began = await log.get_last_msg("CALLS", f"call.{ended['call_id']}.log.ringing")
            ringing = json.loads(began.data or b"{}")
        except NotFoundError:
            ringing = {}
        try:
            await asyncio.to_thread(post, ended["id"], told(ringing, ended))
        except OSError as error:
            print(f"not posted, again in {AGAIN_S} s: {error}", flush=True)
            await message.nak(delay=AGAIN_S)
        else:
            await message.ack()


if __name__ == "__main__":
    asyncio.run(main())
