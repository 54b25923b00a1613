"""Settings of the dashboard, read once from the environment."""

from typing import Annotated

from msgspec import Meta

from runtime.settings import DatabaseSettings, Secret


class Settings(DatabaseSettings, frozen=True, kw_only=True):
    """What the dashboard reads."""

    dashboard_host: Annotated[
        str,
        Meta(
            description="Address the desk listens on; open it to a network behind a proxy that "
            "speaks https, or passwords travel in the clear"
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
    dashboard_token: Annotated[
        Secret,
        Meta(
            description="Bearer token with which machines read /board.json, 16 characters or "
            "more; empty: operators alone"
        ),
    ] = Secret("")
    dashboard_session_hours: Annotated[
        int, Meta(ge=1, le=168, description="Hours until an operator must log in again")
    ] = 12
    display_time_zone: Annotated[
        str, Meta(description="IANA time zone in which the desk shows times")
    ] = "UTC"
    history_days: Annotated[
        int, Meta(ge=1, le=3650, description="Days that calls stay in the history")
    ] = 365
    assistants_dir: Annotated[str, Meta(description="Folder of the assistant profiles")] = (
        "assistants"
    )
