"""Who may open a media socket: Twilio's signature or the desk's origin on the upgrade, and the
one-time token in ``start``.

The only module that knows Twilio's SDK. server asks it before the upgrade, connection after
``start``; whether a token was used before is for the log to say.
"""

from collections.abc import Sequence

from twilio.request_validator import RequestValidator

from protocol import stream_token
from protocol.errors import StreamTokenError
from protocol.events import Channel
from protocol.ids import CallId
from protocol.stream_token import StreamToken
from runtime.settings import Secret

PATH = "/twilio/media"
BROWSER_PATH = "/browser/media"
CHANNELS: dict[str, Channel] = {PATH: "phone", BROWSER_PATH: "browser"}
"""Which calls come by which path."""
BROWSER_ACCOUNT = "AC" + 32 * "0"
"""What a browser says where Twilio names its account; it proves nothing."""


class Admission:
    """``base`` is the wss base that TwiML names; several tokens and secrets serve rotation.
    ``desk`` is where browsers find the desk, whose pages may open lines; empty: no browser may.
    """

    def __init__(
        self,
        base: str,
        auth_tokens: Sequence[Secret],
        token_secrets: Sequence[Secret],
        *,
        desk: str = "",
    ) -> None:
        self._origin = desk.rstrip("/").lower()
        url = base + PATH
        # Some of Twilio's requests are said to be signed with a slash at the end: accept both.
        self._urls = (url, url + "/")
        self._validators = [RequestValidator(token.reveal()) for token in auth_tokens]
        self._secrets = [secret.reveal() for secret in token_secrets]

    def signed(self, signature: str) -> bool:
        """Whether Twilio signed the upgrade: the wss URL as in TwiML, GET, no parameters."""
        for validator in self._validators:
            for url in self._urls:
                if validator.validate(url, {}, signature) is True:
                    return True
        return False

    @property
    def browsers(self) -> bool:
        """Whether browsers may open lines at all."""
        return bool(self._origin)

    def from_desk(self, origin: str) -> bool:
        """Whether a page of the desk opened the socket. Browsers send ``Origin`` themselves; no
        page can write another one.
        """
        return self.browsers and origin.lower() == self._origin

    def token(
        self, call: CallId, parameters: dict[str, str], now: float, channel: Channel = "phone"
    ) -> StreamToken:
        """The token of a ``start`` for ``call`` at ``now`` (Unix seconds), made for ``channel``.

        Raises StreamTokenError whose text is a fixed phrase.
        """
        text = parameters.get(stream_token.PARAMETER)
        if not text:
            raise StreamTokenError("no token")
        token = stream_token.verify(text, self._secrets, now)
        if token.call != call:
            raise StreamTokenError("token of another call")
        if token.channel != channel:
            raise StreamTokenError("token of another channel")
        return token
