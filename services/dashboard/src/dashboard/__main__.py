"""The dashboard process: console script ``dashboard`` and ``python -m dashboard``."""

from dashboard.app import serve
from dashboard.settings import Settings
from runtime import service


def main() -> int:
    """Serve the desk until SIGTERM; the exit code (see ``runtime.service.run``)."""
    return service.run(
        "dashboard",
        Settings,
        serve,
        admin_port=lambda s: s.dashboard_admin_port,
        admin_setting="DASHBOARD_ADMIN_PORT",
    )


if __name__ == "__main__":
    raise SystemExit(main())
