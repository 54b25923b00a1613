"""The HTTP answers that the handlers share."""

from starlette.responses import PlainTextResponse, Response


def document(twiml: str) -> Response:
    """200 with a TwiML document."""
    return Response(twiml, media_type="text/xml")


def accepted() -> Response:
    """204: Twilio ignores the body of an answer to a callback."""
    return Response(status_code=204)


def unavailable() -> Response:
    """503: what the request reports was not kept."""
    return PlainTextResponse("not available\n", status_code=503)


def malformed(what: str) -> Response:
    """400 with one fixed phrase."""
    return PlainTextResponse(what + "\n", status_code=400)
