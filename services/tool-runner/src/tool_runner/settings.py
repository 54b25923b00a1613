"""Settings of tool-runner. Read once by __main__."""

from typing import Annotated

from msgspec import Meta

from runtime.settings import DatabaseSettings


class Settings(DatabaseSettings, frozen=True, kw_only=True):
    """What the service reads."""

    tool_results_days: Annotated[
        int,
        Meta(ge=1, description="Days that results of tools are kept to answer repeated requests"),
    ] = 30
    tool_runner_name: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9_-]{0,128}$",
            description="Name of this process; empty: host name and process id",
        ),
    ] = ""
    tool_runner_admin_port: Annotated[
        int, Meta(ge=0, le=65535, description="Port of tool-runner's health and metrics")
    ] = 9084
