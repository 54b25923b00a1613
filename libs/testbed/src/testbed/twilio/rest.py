"""Twilio's REST API for calls and numbers, served for the SDK: create, fetch, list, update.

Served by tests and the demo beside a SimulatedTwilio, whose calls it places and changes. Never runs
a call itself. Parameters without a simulation are refused, so that none is silently ignored.
"""

import asyncio
import base64
import binascii
import contextlib
import hmac
import socket
from collections.abc import AsyncGenerator, Generator
from urllib.parse import parse_qs, urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from testbed.twilio import twiml
from testbed.twilio.call import Call
from testbed.twilio.call_resource import call_json, error_json
from testbed.twilio.callbacks import DEFAULT_EVENTS, Subscription
from testbed.twilio.forms import API_VERSION, FINAL_STATUSES
from testbed.twilio.numbers import FIELDS
from testbed.twilio.phone import OutboundCall, SimulatedTwilio
from testbed.twilio.program import Fetch, Inline

TWIML_LIMIT = 4000  # characters of inline TwiML
_EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
_INSTRUCTIONS = frozenset({"Url", "Method", "Twiml", "FallbackUrl"})
_CALLBACK = frozenset({"StatusCallback", "StatusCallbackMethod", "StatusCallbackEvent"})
# Timeout has no effect of its own: the callee's outcome says whether anybody answers
_AMD = frozenset(
    {"MachineDetection", "AsyncAmd", "AsyncAmdStatusCallback", "AsyncAmdStatusCallbackMethod"}
)
_CREATE = _INSTRUCTIONS | _CALLBACK | _AMD | {"To", "From", "Timeout", "TimeLimit"}
_UPDATE = _INSTRUCTIONS | {"Status"}
_FILTERS = frozenset({"To", "From", "Status", "PageSize", "Page"})

Form = dict[str, list[str]]


class RestError(Exception):
    """A refused request: Twilio's code, text and HTTP status."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class RestApi:
    """The application; `app` is its ASGI callable."""

    def __init__(self, twilio: SimulatedTwilio) -> None:
        self._twilio = twilio
        base = f"/{API_VERSION}/Accounts/{{account}}"
        self.app = Starlette(
            routes=[
                Route(f"{base}/Calls.json", self._create, methods=["POST"]),
                Route(f"{base}/Calls.json", self._list, methods=["GET"]),
                Route(f"{base}/Calls/{{call}}.json", self._fetch, methods=["GET"]),
                Route(f"{base}/Calls/{{call}}.json", self._update, methods=["POST"]),
                Route(f"{base}/IncomingPhoneNumbers.json", self._numbers, methods=["GET"]),
                Route(f"{base}/IncomingPhoneNumbers/{{sid}}.json", self._point, methods=["POST"]),
            ],
            exception_handlers={RestError: _refused},
        )

    async def _create(self, request: Request) -> Response:
        self._authenticate(request)
        form = await _form(request, _CREATE)
        to, from_ = _one(form, "To"), _one(form, "From")
        if not to:
            raise RestError(21201, "No 'To' number is specified")
        if not from_:
            raise RestError(21213, "No 'From' number is specified")
        first = _instructions(form)
        if first is None:
            raise RestError(21205, "Url or Twiml is required")
        events = frozenset(form.get("StatusCallbackEvent", ())) or DEFAULT_EVENTS
        if unknown := events - _EVENTS:
            raise RestError(21626, f"unknown StatusCallbackEvent {sorted(unknown)}")
        limit = _one(form, "TimeLimit")
        call = self._twilio.place(
            OutboundCall(
                to=to,
                from_=from_,
                first=first,
                subscription=Subscription(
                    _one(form, "StatusCallback"),
                    _one(form, "StatusCallbackMethod") or "POST",
                    events,
                ),
                time_limit_s=float(limit) if limit else None,
                amd_callback=_amd_callback(form),
            )
        )
        return await self._answer(call, 201)

    async def _fetch(self, request: Request) -> Response:
        self._authenticate(request)
        return await self._answer(self._find(request), 200)

    async def _list(self, request: Request) -> Response:
        self._authenticate(request)
        query = request.query_params
        if unknown := query.keys() - _FILTERS:
            raise RestError(20001, f"not simulated: {sorted(unknown)}")
        calls = [call_json(call) for call in reversed(self._twilio.calls.values())]
        for name in ("To", "From", "Status"):
            if wanted := query.get(name):
                calls = [call for call in calls if call[name.lower()] == wanted]
        size, page = int(query.get("PageSize", "50")), int(query.get("Page", "0"))
        shown = calls[page * size : (page + 1) * size]
        kept = "".join(
            f"&{name}={query[name]}" for name in ("To", "From", "Status") if name in query
        )
        uri = f"{request.url.path}?PageSize={size}{kept}&Page="
        more = len(calls) > (page + 1) * size
        return JSONResponse(
            {
                "calls": shown,
                "page": page,
                "page_size": size,
                "start": page * size,
                "end": page * size + max(0, len(shown) - 1),
                "uri": f"{uri}{page}",
                "first_page_uri": f"{uri}0",
                "next_page_uri": f"{uri}{page + 1}" if more else None,
                "previous_page_uri": f"{uri}{page - 1}" if page else None,
            }
        )

    async def _update(self, request: Request) -> Response:
        self._authenticate(request)
        call = self._find(request)
        form = await _form(request, _UPDATE)
        status, instructions = _one(form, "Status"), _instructions(form)
        if call.status in FINAL_STATUSES:
            raise RestError(21220, "Call is not in-progress. Cannot redirect.")
        if status is not None:
            if status not in ("completed", "canceled"):
                raise RestError(21218, f"Invalid Status {status}")
            if status == "canceled" and call.status == "in-progress":
                raise RestError(21220, "Call is in-progress. Cannot cancel.")
            call.update(None)
        elif instructions is None:
            raise RestError(21205, "Url, Twiml or Status is required")
        elif call.status != "in-progress":
            raise RestError(21220, "Call is not in-progress. Cannot redirect.")
        else:
            call.update(instructions)
        return await self._answer(call, 200)

    async def _numbers(self, request: Request) -> Response:
        self._authenticate(request)
        query, numbers = request.query_params, self._twilio.numbers
        if unknown := query.keys() - {"PhoneNumber", "PageSize", "Page"}:
            raise RestError(20001, f"not simulated: {sorted(unknown)}")
        wanted = query.get("PhoneNumber", "")
        shown = [numbers.json(number) for number in numbers.owned if wanted in ("", number)]
        pages = {"next_page_uri": None, "page": 0, "page_size": 50, "uri": request.url.path}
        return JSONResponse({"incoming_phone_numbers": shown, **pages})

    async def _point(self, request: Request) -> Response:
        self._authenticate(request)
        numbers = self._twilio.numbers
        number = numbers.find(request.path_params["sid"])
        if number is None:
            raise RestError(20404, f"The requested resource {request.url.path} was not found", 404)
        numbers.update(number, await _form(request, frozenset(FIELDS)))
        return JSONResponse(numbers.json(number))

    async def _answer(self, call: Call, status: int) -> Response:
        shown = call_json(call)
        await asyncio.sleep(self._twilio.rest_faults.delay_ms / 1000)
        return JSONResponse(shown, status_code=status)

    def _authenticate(self, request: Request) -> None:
        account = self._twilio.account
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            decoded = base64.b64decode(given, validate=True) if kind.lower() == "basic" else b""
        except binascii.Error:
            decoded = b""
        if not hmac.compare_digest(decoded, f"{account.sid}:{account.auth_token}".encode()):
            raise RestError(20003, "Authenticate", 401)
        if request.path_params["account"] != account.sid:
            raise RestError(20404, "The requested account was not found", 404)
        if (status := self._twilio.rest_faults.refuse_status) is not None:
            raise RestError(20429 if status == 429 else 20500, "refused on request", status)

    def _find(self, request: Request) -> Call:
        call = self._twilio.calls.get(request.path_params["call"])
        if call is None:
            raise RestError(20404, f"The requested resource {request.url.path} was not found", 404)
        return call


@contextlib.asynccontextmanager
async def serve_rest(
    twilio: SimulatedTwilio, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[str]:
    """Serve the API of this Twilio; yields its base address, e.g. `http://127.0.0.1:40123`.

    Raises OSError if the port is taken.
    """
    with socket.create_server((host, port)) as listening:
        config = uvicorn.Config(
            RestApi(twilio).app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,  # seconds; an answer held back is not waited for
        )
        server = _QuietServer(config)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listening]), name="twilio-rest")
            try:
                yield f"http://{host}:{listening.getsockname()[1]}"
            finally:
                server.should_exit = True


class _QuietServer(uvicorn.Server):
    """Leaves the process's signals to whoever runs the simulation."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RestError), "registered for RestError only"
    return JSONResponse(error_json(error.code, str(error), error.status), status_code=error.status)


async def _form(request: Request, allowed: frozenset[str]) -> Form:
    form = parse_qs((await request.body()).decode(), keep_blank_values=True)
    if unknown := form.keys() - allowed:
        raise RestError(20001, f"not simulated: {sorted(unknown)}")
    return form


def _one(form: Form, name: str) -> str | None:
    return form[name][0] if name in form else None


def _amd_callback(form: Form) -> str | None:
    """Where asynchronous detection reports; the synchronous kind is not simulated."""
    if _one(form, "MachineDetection") is None:
        return None
    if _one(form, "MachineDetection") != "Enable" or _one(form, "AsyncAmd") != "true":
        raise RestError(20001, "not simulated: machine detection other than Enable, asynchronous")
    if (_one(form, "AsyncAmdStatusCallbackMethod") or "POST") != "POST":
        raise RestError(20001, "not simulated: AsyncAmdStatusCallbackMethod other than POST")
    return _one(form, "AsyncAmdStatusCallback")


def _instructions(form: Form) -> Fetch | Inline | None:
    url, document = _one(form, "Url"), _one(form, "Twiml")
    if url is not None:  # with both given, the SDK's documentation has the url win
        if urlsplit(url).scheme not in ("http", "https"):
            raise RestError(21205, f"Url is not a valid URL: {url}")
        return Fetch(url, _one(form, "Method") or "POST", fallback_url=_one(form, "FallbackUrl"))
    if document is None:
        return None
    if len(document) > TWIML_LIMIT:
        raise RestError(21210, f"Twiml is longer than {TWIML_LIMIT} characters")
    try:
        twiml.parse(document, None)
    except twiml.TwimlError as error:
        raise RestError(12100, f"Invalid TwiML: {error.reason}") from error
    return Inline(document)
