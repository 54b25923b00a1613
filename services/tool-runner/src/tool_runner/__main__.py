"""The process tool-runner: ``tool-runner`` or ``python -m tool_runner``."""

from runtime import service
from tool_runner import app
from tool_runner.settings import Settings


def main() -> int:
    """Serve until a signal; returns the exit code (see runtime.service.run)."""
    return service.run(
        "tool-runner",
        Settings,
        app.serve,
        admin_port=lambda settings: settings.tool_runner_admin_port,
        admin_setting="TOOL_RUNNER_ADMIN_PORT",
    )


if __name__ == "__main__":
    raise SystemExit(main())
