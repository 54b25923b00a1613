"""Addresses under which the outside world reaches us; webhooks and stream-ingress must agree on
them, because Twilio signs what the TwiML names.
"""

from urllib.parse import urlsplit

MEDIA_PATH = "/twilio/media"


def stream_base(public_url: str, public_stream_url: str) -> str:
    """The wss base of the ingress without a slash at its end; by default the host of PUBLIC_URL.

    Twilio opens media streams on port 443 only, so a port of PUBLIC_URL is dropped; plain http is
    loopback, where nothing but ours calls, and gives ws with the port.
    """
    if public_stream_url:
        return public_stream_url.rstrip("/")
    public = urlsplit(public_url)
    if public.scheme == "http":
        return f"ws://{public.netloc}"
    return f"wss://{public.netloc.removesuffix(f':{public.port}')}"
