"""``python -m webhooks.place_call +15550100003``: asks ``calls.place`` and says what happened."""

import argparse
import asyncio
import sys

from protocol import ids, subjects
from protocol.calls import CallPlaced, PlaceCall, PlaceReply
from protocol.errors import DecodeError
from protocol.ids import CallId, EventId
from runtime import bus, logging, settings
from runtime.bus import Bus
from runtime.errors import NatsAway, NoAnswer, Refused, ServiceError, SettingsError
from runtime.service import Shutdown
from runtime.settings import CommonSettings

ANSWER_S = 30.0
"""More than a create without an answer and the search for its call take."""
CLIENT = "webhooks/place-call"
"""Its name at NATS: the user of webhooks, whose service is asked."""


class NotPlaced(Exception):
    """No call, or none that is known of; ``lines`` say why, and what to do."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


def main() -> int:
    """0: placed, 1: not, 2: settings that cannot be used. NATS_URL says where to ask."""
    given = arguments("place_call", "Place a call.").parse_args()
    try:
        loaded = settings.load(CommonSettings)
    except SettingsError as error:
        say(*error.problems)
        return 2
    logging.configure("place_call", fmt=loaded.log_format, level="error")
    try:
        call = asyncio.run(_place(loaded, wanted(given)))
    except NotPlaced as error:
        say(*error.lines)
        return 1
    except ServiceError as error:
        say(str(error))
        return 1
    say(f"placed: {call}")
    return 0


def arguments(name: str, description: str) -> argparse.ArgumentParser:
    """The arguments that say which call is wanted."""
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("to", help="number to call, like +15550100003")
    parser.add_argument("--from", dest="from_", default="", help="default: TWILIO_PHONE_NUMBER")
    parser.add_argument("--machine", choices=("hang_up", "talk"), default="hang_up")
    parser.add_argument("--ring", type=int, default=30, metavar="S", help="seconds it rings")
    parser.add_argument("--key", default="", help="of an earlier try: it is never dialled twice")
    return parser


def wanted(given: argparse.Namespace) -> PlaceCall:
    """The wish that ``arguments`` describe."""
    key = EventId(given.key or ids.new_event_id())
    return PlaceCall(key, given.to, given.from_, given.machine, given.ring)


async def place(nats: Bus, ask: PlaceCall) -> CallId:
    """The call of this wish. Raises NotPlaced."""
    learn = f"learn what came of it with --key {ask.key}"
    try:
        reply: PlaceReply = await nats.request(
            subjects.calls("place"), ask, PlaceReply, timeout=ANSWER_S
        )
    except NoAnswer as error:
        why = "webhooks does not run on this NATS" if error.nobody else "there was no answer"
        raise NotPlaced(f"{why}; {learn}") from error
    except (NatsAway, Refused, DecodeError) as error:
        raise NotPlaced(str(error), learn) from error
    if isinstance(reply, CallPlaced):
        return reply.call
    lines = [f"not placed ({reply.reason}): {reply.message}"]
    raise NotPlaced(*lines, *([learn] if reply.reason == "unknown_outcome" else []))


async def _place(loaded: CommonSettings, ask: PlaceCall) -> CallId:
    async with bus.connect(loaded, CLIENT, Shutdown()) as nats:
        return await place(nats, ask)


def say(*lines: str) -> None:
    """To the terminal, at once."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
