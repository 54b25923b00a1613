"""The doctor's look at the public addresses, as far as they can be reached from here: is it us who
answers there, with the same token, and is the unsigned turned away? A part of doctor.

The signed probes carry a CallSid that no call has; webhooks counts them, and a media socket is
closed before it says anything.
"""

import asyncio
from urllib.parse import urlsplit

import aiohttp
from twilio.request_validator import RequestValidator

from runtime.doctor import Finding, ok, wrong
from webhooks import paths
from webhooks.settings import Settings

ASK_S = 5.0
CALL = "CA" + "0" * 32
_SIGNATURE = "X-Twilio-Signature"
TUNNEL = "Start the tunnel or proxy, and lead it to webhooks (port 8081) or the router (8000)."


async def webhooks(settings: Settings) -> list[Finding]:
    """PUBLIC_URL: an unsigned webhook is refused, a signed one is taken, the fallback is there."""
    base = settings.public_base
    form = {"CallSid": CALL, "AccountSid": settings.twilio_account_sid, "StreamEvent": "doctor"}
    url = base + paths.STREAM_STATUS
    token = settings.twilio_auth_token[0].reveal()
    signed = {_SIGNATURE: RequestValidator(token).compute_signature(url, form)}
    try:
        async with asyncio.timeout(ASK_S), aiohttp.ClientSession() as http:
            async with http.post(base + paths.VOICE, data=form) as answer:
                unsigned = answer.status, (await answer.text())[:40]
            problem = refused(base, *unsigned)
            if problem is not None:
                return [problem]
            async with http.post(url, data=form, headers=signed) as answer:
                taken = answer.status
            async with http.get(base + paths.FALLBACK, allow_redirects=False) as answer:
                fallback = answer.status
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return [_unreachable("public url", "PUBLIC_URL", base, error)]
    findings = [ok("public url", f"webhooks answers at {base} and refuses what is not signed.")]
    if taken == 204:
        findings.append(ok("public url", "It takes what is signed with this TWILIO_AUTH_TOKEN."))
    else:
        says = f"It answers a request signed with this TWILIO_AUTH_TOKEN with {taken}, not 204."
        remedy = "Give the running webhooks the same TWILIO_AUTH_TOKEN and PUBLIC_URL as here."
        findings.append(wrong("public url", says, remedy))
    if fallback != 200:
        says = f"The fallback document {base}{paths.FALLBACK} answers {fallback}."
        findings.append(wrong("public url", says, "Lead this path to the router or to webhooks."))
    return findings


def refused(base: str, status: int, body: str) -> Finding | None:
    """What it means that an unsigned webhook was answered so; None: it is webhooks."""
    if status == 403 and body.startswith("wrong signature"):
        return None
    if status < 300:
        says = f"Who answers at {base} takes unsigned requests ({status}): that is not webhooks."
        return wrong("public url", says, TUNNEL)
    if status in (502, 503, 504, 530):
        says = f"{base} answers {status}: the tunnel stands, and nothing is behind it."
        return wrong("public url", says, "Start webhooks, or lead the tunnel to its port.")
    says = f"{base}{paths.VOICE} answers {status}, where webhooks would refuse with 403."
    return wrong("public url", says, TUNNEL)


async def media(settings: Settings) -> list[Finding]:
    """The media socket's address: an unsigned upgrade is refused, a signed one is taken."""
    url = settings.stream_base + paths.MEDIA
    token = settings.twilio_auth_token[0].reveal()
    signature = RequestValidator(token).compute_signature(url, {})
    try:
        async with asyncio.timeout(ASK_S), aiohttp.ClientSession() as http:
            unsigned = await _upgrade(http, url, {})
            taken = await _upgrade(http, url, {_SIGNATURE: signature})
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return [_unreachable("media socket", "PUBLIC_STREAM_URL", url, error)]
    return [upgraded(url, unsigned, taken)]


def upgraded(url: str, unsigned: int, signed: int) -> Finding:
    """What the answers to an unsigned and a signed upgrade mean."""
    if (unsigned, signed) == (403, 101):
        return ok("media socket", f"stream-ingress answers at {url}, for Twilio alone.")
    if unsigned == 403 and signed == 403:
        says = f"{url} refuses an upgrade that is signed with this TWILIO_AUTH_TOKEN (31920)."
        remedy = "Give stream-ingress the same TWILIO_AUTH_TOKEN, PUBLIC_URL and PUBLIC_STREAM_URL."
        return wrong("media socket", says, remedy)
    if unsigned == 403 and signed == 503:
        says = "stream-ingress answers that no slot is free."
        return wrong("media socket", says, "Raise INGRESS_SLOTS, or start another one.")
    if unsigned == 101:
        says = f"Who answers at {url} takes unsigned sockets: that is not stream-ingress."
        return wrong("media socket", says, "Lead this address to stream-ingress (port 8082).")
    says = f"{url} answers an upgrade with {unsigned}, where stream-ingress would refuse with 403."
    remedy = (
        "Lead /twilio/media to stream-ingress (port 8082), with WebSocket upgrades; with two"
        " tunnels set PUBLIC_STREAM_URL."
    )
    return wrong("media socket", says, remedy)


async def _upgrade(http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> int:
    try:
        async with http.ws_connect(url, headers=headers):
            return 101
    except aiohttp.WSServerHandshakeError as error:
        return error.status


def _unreachable(check: str, setting: str, url: str, error: Exception) -> Finding:
    host = urlsplit(url).hostname or url
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        says = f"The certificate of {host} is not trusted; Twilio would not trust it either."
        return wrong(check, says, "Give it one of a public authority (Twilio error 31910, 11237).")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        remedy = f"Correct {setting}; a tunnel's name changes when it is started anew."
        return wrong(check, f"There is no host {host} ({setting}).", remedy)
    says = f"{host} cannot be reached from here ({setting}, {type(error).__name__})."
    return wrong(check, says, TUNNEL)
