"""Calls from a browser, asked of webhooks over NATS: what can be called, a new call, what follows
when its line was closed. Nothing is kept here.
"""

from typing import Any

from protocol import subjects
from protocol.calls import (
    BrowserPhone,
    BrowserPhoneReply,
    BrowserStreamEnded,
    OpenBrowserCall,
    OpenReply,
    StreamEndedReply,
)
from protocol.errors import DecodeError
from protocol.ids import CallId
from runtime.bus import Bus
from runtime.errors import NatsAway, NoAnswer, Refused

ASK_S = 6.0
"""webhooks bounds its own steps: two reads and a write of the log."""


class Away(Exception):
    """webhooks cannot be asked, or could not do it now; the text is a sentence for a person."""


class Lines:
    """Every method raises Away."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def phone(self, operator: str) -> BrowserPhoneReply:
        return await self._ask("browser_phone", BrowserPhone(operator), BrowserPhoneReply)

    async def open(self, operator: str, called: str, caller: str) -> OpenReply:
        """``called`` and ``caller`` may be empty: webhooks has defaults."""
        ask = OpenBrowserCall(operator, called, caller)
        return await self._ask("open_browser_call", ask, OpenReply)

    async def ended(self, operator: str, call: CallId) -> StreamEndedReply:
        ask = BrowserStreamEnded(call, operator)
        return await self._ask("stream_ended", ask, StreamEndedReply)

    async def _ask(self, verb: str, message: Any, answer: Any) -> Any:
        try:
            return await self._bus.request(subjects.calls(verb), message, answer, timeout=ASK_S)
        except NoAnswer as error:
            why = "nobody answers" if error.nobody else f"no answer within {ASK_S:.0f} s"
            raise Away(f"webhooks cannot be reached: {why}. Start it, then try again.") from error
        except Refused as error:
            raise Away(f"webhooks could not do it: {error.description}.") from error
        except NatsAway as error:
            raise Away("The connection to NATS is gone. It is tried again by itself.") from error
        except DecodeError as error:
            raise Away("The answer of webhooks cannot be read; do the versions match?") from error
