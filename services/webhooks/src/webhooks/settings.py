"""What webhooks is configured by, and the public addresses that follow from it.

Read once by runtime.service. A value that Twilio or the stream token could not use is refused at
start, with one sentence a variable.
"""

import ipaddress
import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta

from runtime.addresses import stream_base
from runtime.assistant import E164
from runtime.errors import SettingsError
from runtime.settings import CommonSettings, Secret

SECRET_LENGTH = 16
"""Characters that a stream token secret has at least."""
_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}\Z")
_ACCOUNT = re.compile(r"AC[0-9a-f]{32}\Z")


class Settings(CommonSettings, frozen=True, kw_only=True):
    """Settings of webhooks. Raises SettingsError when the values cannot be used together."""

    webhooks_host: Annotated[str, Meta(description="Address that webhooks listens on")] = "0.0.0.0"  # noqa: S104 -- a proxy or tunnel on another host reaches it
    webhooks_port: Annotated[
        int, Meta(ge=0, le=65535, description="Port for Twilio's HTTP requests")
    ] = 8081
    webhooks_admin_port: Annotated[
        int, Meta(ge=0, le=65535, description="Port for health and metrics of webhooks")
    ] = 9081
    public_url: Annotated[
        str, Meta(description="Base address that Twilio reaches webhooks by, https://...")
    ]
    public_stream_url: Annotated[
        str,
        Meta(
            description="Base address that Twilio reaches stream-ingress by, wss://...; "
            "empty: the host of PUBLIC_URL"
        ),
    ] = ""
    twilio_account_sid: Annotated[str, Meta(description="Twilio account, AC and 32 hex digits")]
    twilio_auth_token: Annotated[
        tuple[Secret, ...],
        Meta(description="Twilio auth token; several, separated by commas, while it is rotated"),
    ]
    twilio_phone_number: Annotated[
        str, Meta(description="Our number, which placed calls come from; empty: none are placed")
    ] = ""
    twilio_api_url: Annotated[
        str, Meta(description="Address of Twilio's REST API; empty: Twilio's own")
    ] = ""
    assistants_dir: Annotated[str, Meta(description="Folder of the assistant profiles")] = (
        "assistants"
    )
    browser_phone: Annotated[
        bool,
        Meta(
            description="1: operators may call assistants from their browsers, at the desk's page "
            "Phone; 0: no browser reaches a line"
        ),
    ] = False
    outbound_prefixes: Annotated[
        tuple[str, ...],
        Meta(
            description="Prefixes of the numbers that may be called and transferred to, the "
            "humans of profiles too, like +49,+1212; empty: none"
        ),
    ] = ()
    outbound_per_minute: Annotated[
        int,
        Meta(ge=0, le=1000, description="Numbers dialled a minute: calls placed and transfers"),
    ] = 10
    outbound_call_s: Annotated[
        int,
        Meta(
            ge=10, le=86_400, description="Longest call that is placed, and talk after a transfer"
        ),
    ] = 1800
    stream_token_secret: Annotated[
        tuple[Secret, ...],
        Meta(
            description="Secret of the one-time stream token, at least 16 characters; several for "
            "rotation, the first one signs"
        ),
    ]

    recordings_days: Annotated[
        int, Meta(ge=1, le=3650, description="Days that the sound of recorded calls is kept")
    ] = 30
    recordings_bytes: Annotated[
        int,
        Meta(
            ge=1024**2,
            description="Most bytes of recorded sound that are kept, about 1 MB for a minute of a "
            "call; past it the oldest goes",
        ),
    ] = 1024**3

    def __post_init__(self) -> None:
        problems = [
            *_url_problems("PUBLIC_URL", self.public_url, secure="https", plain="http"),
            *_url_problems("PUBLIC_STREAM_URL", self.public_stream_url, secure="wss", plain="ws"),
        ]
        if not _ACCOUNT.match(self.twilio_account_sid):
            problems.append(
                "TWILIO_ACCOUNT_SID is not AC and 32 lower-case hex digits: "
                "copy the Account SID from the Twilio console"
            )
        if not self.twilio_auth_token:
            problems.append("TWILIO_AUTH_TOKEN holds no token: set the account's auth token")
        if not self.stream_token_secret or any(
            len(secret.reveal()) < SECRET_LENGTH for secret in self.stream_token_secret
        ):
            problems.append(
                f"STREAM_TOKEN_SECRET needs at least {SECRET_LENGTH} characters in each secret: "
                "make one with `openssl rand -hex 32`"
            )
        if self.twilio_phone_number and not E164.match(self.twilio_phone_number):
            problems.append(
                "TWILIO_PHONE_NUMBER is not an E.164 number: write it like +15550100002"
            )
        if self.twilio_api_url and not self.twilio_api_url.startswith(("https://", "http://")):
            problems.append("TWILIO_API_URL must begin with https:// or http://")
        if any(not _PREFIX.match(prefix) for prefix in self.outbound_prefixes):
            problems.append("OUTBOUND_PREFIXES must be like +49 or +1212, separated by commas")
        if problems:
            raise SettingsError(problems)

    @property
    def public_base(self) -> str:
        """PUBLIC_URL without a slash at its end: paths are appended to it."""
        return self.public_url.rstrip("/")

    @property
    def stream_base(self) -> str:
        """PUBLIC_STREAM_URL without a slash at its end; by default the host of PUBLIC_URL."""
        return stream_base(self.public_url, self.public_stream_url)


def _url_problems(variable: str, text: str, *, secure: str, plain: str) -> list[str]:
    """Why Twilio could not use the base address; none for an empty one (its default counts)."""
    if not text:
        return []
    try:
        url = urlsplit(text)
        host = url.hostname
        _ = url.port  # raises when it is no number
    except ValueError:
        return [f"{variable} is no address: write it like {secure}://voice.example.com"]
    if url.scheme not in (secure, plain) or not host:
        return [f"{variable} must begin with {secure}:// and name a host"]
    if url.scheme == plain and not _loopback(host):
        return [f"{variable} must be {secure}:// ({plain}:// is for loopback hosts only)"]
    if _has_extras(url) or "?" in text or "#" in text:
        return [f"{variable} must have no user name, query or fragment: it is a base address"]
    if "_" in host:
        return [f"{variable} names a host with an underscore, which Twilio refuses"]
    return []


def _has_extras(url: SplitResult) -> bool:
    return url.username is not None or url.password is not None


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
