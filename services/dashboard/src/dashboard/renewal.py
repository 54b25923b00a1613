"""Parts of a page that browsers ask for again and again: sent only when they differ from what the
browser has, so that a page that stays the same is not touched under its reader.
"""

import hashlib
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dashboard.html import Html

SEEN = "seen"
NOTHING = 204


def stamp(text: str) -> str:
    """A short name of what a part says."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def part_or_nothing(html: Html, request: Request, template: str, **values: Any) -> Response:
    """The part, with ``stamp`` for its next question, or 204 when ``?seen=`` is its stamp."""
    inner = stamp(html.render(template, stamp="", **values))
    if request.query_params.get(SEEN) == inner:
        return Response(status_code=NOTHING, headers={"cache-control": "no-store"})
    return html.page(template, stamp=inner, **values)
