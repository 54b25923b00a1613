"""Settings of stream-ingress, read once from the environment, and what follows from them."""

from typing import Annotated

from msgspec import Meta

from protocol import ids
from protocol.ids import IngressId
from runtime.names import process_name
from runtime.settings import CommonSettings, Secret


class Settings(CommonSettings, frozen=True, kw_only=True):
    """One field a variable; times in the unit that the name ends in."""

    public_url: Annotated[
        str,
        Meta(pattern="^https?://[^/]+", description="https base under which Twilio reaches us"),
    ]
    twilio_account_sid: Annotated[
        str, Meta(pattern="^AC[0-9a-f]{32}$", description="Account whose calls are taken")
    ]
    twilio_auth_token: Annotated[
        tuple[Secret, ...],
        Meta(min_length=1, description="Auth tokens that sign requests, separated by commas"),
    ]
    stream_token_secret: Annotated[
        tuple[Secret, ...],
        Meta(min_length=1, description="Secrets of the one-time stream token, newest first"),
    ]
    public_stream_url: Annotated[
        str,
        Meta(
            pattern="^(wss?://[^/]+.*)?$",
            description="wss base of the ingress as Twilio reaches it; empty: PUBLIC_URL's host",
        ),
    ] = ""
    browser_phone: Annotated[
        bool,
        Meta(
            description="1: operators may call assistants from their browsers, at the desk's page "
            "Phone; 0: no browser reaches a line"
        ),
    ] = False
    dashboard_url: Annotated[
        str,
        Meta(
            pattern=r"^https?://[^/?#]+/?$",
            description="Where browsers find the desk: http(s)://host[:port]; only pages from "
            "there may change anything or open browser lines",
        ),
    ] = "http://127.0.0.1:8080"
    ingress_host: Annotated[str, Meta(description="Address that media sockets come to")] = "0.0.0.0"  # noqa: S104 -- Twilio comes from other hosts
    ingress_port: Annotated[int, Meta(ge=0, le=65535, description="Port of media sockets")] = 8082
    ingress_admin_port: Annotated[
        int, Meta(ge=0, le=65535, description="Port of health and metrics")
    ] = 9082
    ingress_name: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9_-]{0,128}$",
            description="Unique name of this process; empty: made from host name and process id",
        ),
    ] = ""
    ingress_slots: Annotated[int, Meta(ge=1, description="Calls carried at once")] = 500
    ingress_drain_s: Annotated[
        int, Meta(ge=0, description="Seconds that calls may finish in after SIGTERM")
    ] = 30
    ingress_batch_ms: Annotated[
        int,
        Meta(ge=20, le=200, description="ms of caller audio that are published as one message"),
    ] = 60
    hold_after_ms: Annotated[
        int, Meta(ge=0, description="ms without an agent until the hold sentence is played")
    ] = 1500
    ingress_away_s: Annotated[
        float, Meta(gt=0, description="Seconds that a call is kept while NATS is away")
    ] = 30.0
    place_for_s: Annotated[
        float, Meta(gt=0, description="Seconds to look for an agent before the call is given up")
    ] = 20.0


def ingress_name(settings: Settings) -> IngressId:
    """The process's name as a token of a subject."""
    if settings.ingress_name:
        return ids.ingress_id(settings.ingress_name)
    return ids.ingress_id(process_name("ingress"))
