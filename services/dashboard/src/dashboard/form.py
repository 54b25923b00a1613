"""The fields of a posted form, bounded. Used by every page that takes one."""

from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

MAX_BYTES = 16 * 1024


async def form_of(request: Request, max_bytes: int = MAX_BYTES) -> dict[str, str]:
    """The fields of a urlencoded form; of a repeated one the last. Raises HTTPException(413)."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise HTTPException(413, "This form is too long.")
    return fields(bytes(body))


def fields(body: bytes) -> dict[str, str]:
    """The fields of a urlencoded text; what is no UTF-8 is replaced."""
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
