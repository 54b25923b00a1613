"""Offers of a media stream: the token that a new leg needs, and what is around it.

Called by voice (first leg), stream_ended and reconnect (successors) for TwiML, and by
browser_calls. stream-ingress checks the token; its format is protocol.stream_token.
"""

from protocol import stream_token
from protocol.calls import BrowserStream
from protocol.ids import CallId, Leg
from protocol.stream_token import LIFETIME_S, StreamToken
from runtime import clock
from webhooks import paths, twiml
from webhooks.numbers import Parties
from webhooks.settings import Settings


class Offers:
    """Makes what connects a call with stream-ingress: TwiML, or a browser's socket."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.stream_token_secret[0]
        self._action = settings.public_base + paths.STREAM_ENDED
        self._status_callback = settings.public_base + paths.STREAM_STATUS
        self._stream_url = settings.stream_base + paths.MEDIA
        self.browser_url = settings.stream_base + paths.BROWSER_MEDIA
        """The address of every browser's media socket."""

    def twiml(
        self, call: CallId, who: Parties, *, previous_leg: Leg, line_ms: int, expires: int
    ) -> str:
        """TwiML for a leg after ``previous_leg`` (0: the first). ``expires`` is Unix seconds."""
        token = StreamToken(
            call=call,
            previous_leg=previous_leg,
            caller=who.caller,
            called=who.called,
            channel="phone",
            expires=expires,
            line_ms=line_ms,
        )
        return twiml.connect(
            action=self._action,
            stream_url=self._stream_url,
            status_callback=self._status_callback,
            token=stream_token.mint(token, self._secret.reveal()),
        )

    def browser(
        self, call: CallId, who: Parties, operator: str, *, previous_leg: Leg, line_ms: int
    ) -> BrowserStream:
        """The same for a browser call of ``operator``. Raises StreamTokenError when the names are
        too long for a token.
        """
        token = StreamToken(
            call=call,
            previous_leg=previous_leg,
            caller=who.caller,
            called=who.called,
            channel="browser",
            expires=int(clock.unix_now()) + LIFETIME_S,
            line_ms=line_ms,
            operator=operator,
        )
        text = stream_token.mint(token, self._secret.reveal())
        return BrowserStream(call, self.browser_url, text)
