"""Entry point of webhooks: ``webhooks`` or ``python -m webhooks``."""

from runtime import service
from webhooks import app
from webhooks.settings import Settings


def main() -> int:
    """Run webhooks until a signal; the exit code."""
    return service.run(
        "webhooks",
        Settings,
        app.serve,
        admin_port=lambda settings: settings.webhooks_admin_port,
        admin_setting="WEBHOOKS_ADMIN_PORT",
    )


if __name__ == "__main__":
    raise SystemExit(main())
