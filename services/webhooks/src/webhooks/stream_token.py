"""Offers of a media stream: the token that a new leg needs, and the TwiML around it.

Called by voice (first leg), stream_ended and reconnect (successors). stream-ingress checks the
token; its format is protocol.stream_token.
"""

from protocol import stream_token
from protocol.ids import CallId, Leg
from protocol.stream_token import StreamToken
from webhooks import paths, twiml
from webhooks.numbers import Parties
from webhooks.settings import Settings


class Offers:
    """Makes the TwiML that connects a call with stream-ingress."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.stream_token_secret[0]
        self._action = settings.public_base + paths.STREAM_ENDED
        self._status_callback = settings.public_base + paths.STREAM_STATUS
        self._stream_url = settings.stream_base + paths.MEDIA

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
