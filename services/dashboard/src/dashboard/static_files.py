"""Static files whose addresses do not change with their contents: modules that scripts import from
each other. Browsers ask each time whether theirs is the newest.
"""

from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles


class Revalidated(StaticFiles):
    """A folder that is never used without asking; an unchanged file is answered with 304."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response
