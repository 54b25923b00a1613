"""Settings of the dashboard, read once from the environment."""

from typing import Annotated

from msgspec import Meta

from runtime.settings import CommonSettings


class Settings(CommonSettings, frozen=True, kw_only=True):
    """What the dashboard reads."""

    dashboard_host: Annotated[
        str,
        Meta(
            description="Address the desk listens on; it has no login, so only open it to a "
            "network where everybody may see every call"
        ),
    ] = "127.0.0.1"
    dashboard_port: Annotated[int, Meta(ge=0, le=65535, description="Port of the desk")] = 8080
    dashboard_admin_port: Annotated[
        int, Meta(ge=0, le=65535, description="Port of the dashboard's health and metrics")
    ] = 9085
    dashboard_url: Annotated[
        str,
        Meta(
            pattern=r"^https?://[^/?#]+/?$",
            description="Where browsers find the desk: http(s)://host[:port]; only pages from "
            "there may change anything",
        ),
    ] = "http://127.0.0.1:8080"
    display_time_zone: Annotated[
        str, Meta(description="IANA time zone in which the desk shows times")
    ] = "UTC"
