"""TwiML as the simulated Twilio understands it: a document in, a list of verbs out. Pure.

Called with the answer to every voice webhook and with TwiML given through REST. Stricter than
Twilio, which only warns of many mistakes: here each is an error, so that a test sees it.
"""

import ipaddress
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urljoin, urlsplit

PARAMETER_LIMIT = 500  # name and value together stay below this many characters


class TwimlError(Exception):
    """The document cannot be run; `code` is Twilio's error code for the reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Stream:
    """A bidirectional media stream: absolute url, parameters in document order."""

    url: str
    name: str | None
    parameters: dict[str, str]
    status_callback: str | None
    status_callback_method: str


@dataclass(frozen=True, slots=True)
class Connect:
    """`<Connect><Stream>`; `action` is absolute, or None to go on with the next verb."""

    stream: Stream
    action: str | None
    method: str


@dataclass(frozen=True, slots=True)
class Say:
    """Text spoken by Twilio."""

    text: str


@dataclass(frozen=True, slots=True)
class Play:
    """An audio address, or DTMF digits."""

    content: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence of so many seconds."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Redirect:
    """Go on with another document; the url is absolute."""

    url: str
    method: str


@dataclass(frozen=True, slots=True)
class Hangup:
    """End the call."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Do not answer the call; only as the first verb."""

    reason: Literal["rejected", "busy"]


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect the caller with another number."""

    number: str
    action: str | None
    method: str


Verb = Connect | Say | Play | Pause | Redirect | Hangup | Reject | Dial

_ATTRIBUTES: dict[str, frozenset[str]] = {
    "Connect": frozenset({"action", "method"}),
    "Stream": frozenset({"url", "name", "track", "statusCallback", "statusCallbackMethod"}),
    "Parameter": frozenset({"name", "value"}),
    "Say": frozenset({"voice", "language", "loop"}),
    "Play": frozenset({"loop", "digits"}),
    "Pause": frozenset({"length"}),
    "Redirect": frozenset({"method"}),
    "Hangup": frozenset(),
    "Reject": frozenset({"reason"}),
    "Dial": frozenset(
        [
            "action",
            "method",
            "timeout",
            "timeLimit",
            "callerId",
            "record",
            "answerOnBridge",
            "ringTone",
            "hangupOnStar",
            "sequential",
            "referUrl",
        ]
    ),
    "Number": frozenset(["sendDigits", "url", "method", "statusCallback", "statusCallbackEvent"]),
}


def parse(document: str, base_url: str | None) -> list[Verb]:
    """Read a document fetched from `base_url` (None for TwiML given inline through REST).

    Raises TwimlError: 12100 not parsable, 12200 unknown verb, attribute or bad value,
    31921-31941 a stream that Twilio refuses.
    """
    try:
        root = ET.fromstring(document.strip())
    except ET.ParseError as error:
        raise TwimlError(12100, f"document parse failure: {error}") from error
    if root.tag != "Response" or root.attrib:
        raise TwimlError(12100, "the root element must be a plain <Response>")
    if (root.text or "").strip():
        raise TwimlError(12200, "text outside of a verb")
    return [_verb(element, index, base_url) for index, element in enumerate(root)]


def _verb(element: ET.Element, index: int, base_url: str | None) -> Verb:
    reader = _READERS.get(element.tag)
    if reader is None:
        raise TwimlError(12200, f"<{element.tag}> is unknown or not simulated")
    _check_attributes(element)
    if (element.tail or "").strip():
        raise TwimlError(12200, "text outside of a verb")
    if element.tag == "Reject" and index:
        raise TwimlError(12200, "<Reject> must be the first verb")
    return reader(element, base_url)


def _connect(element: ET.Element, base_url: str | None) -> Connect:
    children = list(element)
    if len(children) != 1 or children[0].tag != "Stream":
        raise TwimlError(12200, "<Connect> needs exactly one <Stream>")
    stream = children[0]
    _check_attributes(stream)
    parameters: dict[str, str] = {}
    for child in stream:
        if child.tag != "Parameter":
            raise TwimlError(12200, f"<{child.tag}> is not allowed in <Stream>")
        _check_attributes(child)
        name, value = child.get("name"), child.get("value")
        if not name or value is None:
            raise TwimlError(12200, "<Parameter> needs name and value")
        if len(name) + len(value) >= PARAMETER_LIMIT:
            raise TwimlError(12200, f"<Parameter> {name} is {PARAMETER_LIMIT} characters or more")
        parameters[name] = value
    if stream.get("track", "inbound_track") != "inbound_track":
        raise TwimlError(31941, "a bidirectional stream has the inbound track only")
    return Connect(
        stream=Stream(
            url=_stream_url(stream.get("url"), base_url),
            name=stream.get("name"),
            parameters=parameters,
            status_callback=_target(stream.get("statusCallback"), None),
            status_callback_method=_method(stream, "statusCallbackMethod"),
        ),
        action=_target(element.get("action"), base_url),
        method=_method(element),
    )


def _stream_url(url: str | None, base_url: str | None) -> str:
    if not url:
        raise TwimlError(12200, "<Stream> needs a url")
    if "://" not in url:
        base = _target(url, base_url)
        url = base.replace("http", "ws", 1) if base else url
    parts = urlsplit(url)
    if not parts.hostname:
        raise TwimlError(31923, f"malformed stream url {url}")
    if parts.scheme != "wss" and not (parts.scheme == "ws" and _is_loopback(parts.hostname)):
        raise TwimlError(31922, "the stream url must be wss (ws on loopback only)")
    if "?" in url or "#" in url:
        raise TwimlError(31920, "the stream url takes no query string; use <Parameter>")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _say(element: ET.Element, base_url: str | None) -> Say:
    text = " ".join("".join(element.itertext()).split())
    if not text:
        raise TwimlError(12200, "<Say> needs text")
    return Say(text)


def _play(element: ET.Element, base_url: str | None) -> Play:
    if digits := element.get("digits"):
        return Play(digits)
    address = _target((element.text or "").strip(), base_url)
    if not address:
        raise TwimlError(12200, "<Play> needs an address or digits")
    return Play(address)


def _pause(element: ET.Element, base_url: str | None) -> Pause:
    length = element.get("length", "1")
    if not length.isdecimal():
        raise TwimlError(12200, "Pause.length must be a number of seconds")
    return Pause(int(length))


def _redirect(element: ET.Element, base_url: str | None) -> Redirect:
    address = _target((element.text or "").strip(), base_url) or base_url
    if address is None:
        raise TwimlError(12200, "<Redirect> without an address in inline TwiML")
    return Redirect(address, _method(element))


def _hangup(element: ET.Element, base_url: str | None) -> Hangup:
    return Hangup()


def _reject(element: ET.Element, base_url: str | None) -> Reject:
    match element.get("reason", "rejected"):
        case "rejected":
            return Reject("rejected")
        case "busy":
            return Reject("busy")
        case other:
            raise TwimlError(12200, f"Reject.reason {other}")


def _dial(element: ET.Element, base_url: str | None) -> Dial:
    children = list(element)
    number = (element.text or "").strip()
    if len(children) == 1 and children[0].tag == "Number":
        _check_attributes(children[0])
        number = (children[0].text or "").strip()
    elif children:
        raise TwimlError(12200, "<Dial> is simulated for exactly one number")
    if not number.removeprefix("+").isdecimal():
        raise TwimlError(13223, f"Dial: invalid phone number {number!r}")
    return Dial(number, _target(element.get("action"), base_url), _method(element))


def _check_attributes(element: ET.Element) -> None:
    unknown = element.attrib.keys() - _ATTRIBUTES[element.tag]
    if unknown:
        raise TwimlError(12200, f"<{element.tag}> has no attribute {sorted(unknown)}")


def _method(element: ET.Element, attribute: str = "method") -> str:
    method = element.get(attribute, "POST")
    if method not in ("GET", "POST"):
        raise TwimlError(12200, f"<{element.tag}> {attribute} must be GET or POST")
    return method


def _target(address: str | None, base_url: str | None) -> str | None:
    if not address:
        return None
    absolute = address if base_url is None else urljoin(base_url, address)
    if urlsplit(absolute).scheme not in ("http", "https"):
        raise TwimlError(12200, f"{address} is no http(s) address")
    return absolute


_READERS: dict[str, Callable[[ET.Element, str | None], Verb]] = {
    "Connect": _connect,
    "Say": _say,
    "Play": _play,
    "Pause": _pause,
    "Redirect": _redirect,
    "Hangup": _hangup,
    "Reject": _reject,
    "Dial": _dial,
}
