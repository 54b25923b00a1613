"""The cookie that carries a session's token: out of reach for scripts and for other sites."""

from starlette.requests import Request
from starlette.responses import Response


class Cookie:
    """Named for the desk at ``url``: over https it is bound to the very host (``__Host-``)."""

    def __init__(self, url: str, *, hours: int) -> None:
        self._secure = url.startswith("https://")
        self._seconds = hours * 3600
        self.name = "__Host-desk" if self._secure else "desk"

    def read(self, request: Request) -> str:
        """The token that came along; "" when none did."""
        return request.cookies.get(self.name, "")

    def put(self, response: Response, token: str) -> None:
        response.set_cookie(
            self.name,
            token,
            max_age=self._seconds,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def clear(self, response: Response) -> None:
        response.delete_cookie(
            self.name, path="/", secure=self._secure, httponly=True, samesite="lax"
        )
