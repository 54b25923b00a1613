"""HTML from the templates: the Jinja environment, its filters, and whole-page responses.

Pages and live updates render through the same object, so both give the same markup. Every value
is escaped; there is no inline script or style.
"""

import hashlib
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from dashboard.masking import mask
from dashboard.people.operator import current

STATIC = Path(__file__).parent / "static"


class Html:
    """Renders templates with times in one zone. ``reload``: each template is looked at for changes
    before it is rendered, which costs as much as a small page.
    """

    def __init__(self, zone: ZoneInfo, *, reload: bool = False) -> None:
        self._zone = zone
        self._env = Environment(
            loader=PackageLoader("dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=reload,
        )
        self._env.filters |= {
            "clock": self.clock,
            "exact": self.exact,
            "stamp": self.stamp,
            "length": length,
            "mask": mask,
            "money": money,
            "ms": milliseconds,
            "day": day,
        }
        names: dict[str, Any] = {"static": static, "zone": str(zone)}
        self._env.globals.update(names)

    def render(self, template: str, **values: Any) -> str:
        """The text of a template; ``operator`` is who asks for the page, if anybody does."""
        return self._env.get_template(template).render(operator=current.get(), **values)

    def page(
        self,
        template: str,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """A template as a response that no cache keeps."""
        return HTMLResponse(
            self.render(template, **values),
            status_code=status,
            headers={"cache-control": "no-store", **(headers or {})},
        )

    def clock(self, at: datetime) -> str:
        """``14:03:10`` in the desk's zone."""
        return f"{at.astimezone(self._zone):%H:%M:%S}"

    def stamp(self, at: datetime) -> str:
        """``22 Nov 2026, 14:03`` in the desk's zone."""
        return f"{at.astimezone(self._zone):%-d %b %Y, %H:%M}"

    def exact(self, at: datetime) -> str:
        """``Sun 22 Nov 2026, 14:03:10 UTC`` in the desk's zone."""
        return f"{at.astimezone(self._zone):%a %-d %b %Y, %H:%M:%S %Z}"


def length(ms: int) -> str:
    """``0:07``, ``12:40``, ``1:02:03``."""
    seconds = ms // 1000
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def money(usd: float) -> str:
    """``$0.0132``; four digits, because calls cost cents."""
    return f"${usd:.4f}" if usd < 10 else f"${usd:.2f}"


def milliseconds(ms: int) -> str:
    """``820 ms``, ``1.4 s``."""
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def day(value: date) -> str:
    """``22 Nov``."""
    return f"{value:%-d %b}"


@cache
def static(name: str) -> str:
    """The address of a static file; it changes with the file, so browsers may keep it."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"
