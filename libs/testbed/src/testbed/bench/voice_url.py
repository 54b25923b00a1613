"""What Twilio asks before it opens a media socket: the signed voice webhook, answered by
`<Connect><Stream>`.
"""

import re
from dataclasses import dataclass

import httpx

from testbed.twilio.signature import sign_post

_STREAM = re.compile(r'<Stream[^>]*\burl="([^"]+)"')
_PARAMETER = re.compile(r'<Parameter name="([^"]+)" value="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Connect:
    """Where to open the socket, and what to say in its `start`."""

    url: str
    parameters: dict[str, str]


async def connect_of(
    voice_url: str, account_sid: str, auth_token: str, *, call_sid: str, caller: str, called: str
) -> Connect:
    """Ask the voice webhook for one call. Raises RuntimeError when it does not connect a stream."""
    form = {
        "CallSid": call_sid,
        "AccountSid": account_sid,
        "From": caller,
        "To": called,
        "CallStatus": "ringing",
        "ApiVersion": "2010-04-01",
        "Direction": "inbound",
    }
    signature = sign_post(voice_url, form.items(), auth_token)
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(voice_url, data=form, headers={"X-Twilio-Signature": signature})
    found = _STREAM.search(answer.text)
    if answer.status_code != 200 or found is None:
        raise RuntimeError(f"{voice_url} answered {answer.status_code} without a stream")
    parameters = dict(_PARAMETER.findall(answer.text))
    return Connect(found[1], parameters)
