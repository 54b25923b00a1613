"""The service ``tools.*``: each tool of the catalog as an endpoint of the NATS service API, with
its schema in the metadata (protocol.tools). One transaction a request: effect and stored result.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from protocol import codec, ids, subjects, tools
from protocol.errors import InvalidToken
from protocol.ids import CallerId
from protocol.todos import TodoChanged
from runtime import clock, logging
from runtime.bus import Bus
from runtime.errors import Refused
from runtime.micro import Endpoint, Handler, Request
from tool_runner import metrics
from tool_runner.arguments import BadArguments
from tool_runner.callers.repository import Callers
from tool_runner.catalog import Catalog, Failed, Tool
from tool_runner.context import Context
from tool_runner.database import Connection, Database, DeadlineMissed
from tool_runner.idempotency import Results
from tool_runner.todos.announcer import announce
from tool_runner.todos.repository import Todos

_log = logging.get("tools")

DEFAULT_DEADLINE_MS = 10_000
MOST_DEADLINE_MS = 60_000


class Head(Struct, frozen=True):
    """What the headers of a tool request say."""

    caller_id: CallerId
    key: str
    within_s: float


class Answer(Struct, frozen=True):
    """A result as JSON, how it came about, and what others should hear of."""

    result: bytes
    outcome: str
    changes: tuple[TodoChanged, ...] = ()


class ToolEndpoints(Struct, frozen=True):
    """Answers ``tools.*`` for the tools of ``catalog``."""

    catalog: Catalog
    database: Database
    bus: Bus

    def endpoints(self) -> list[Endpoint]:
        """The endpoints of the service, for runtime.micro."""
        return [
            Endpoint(
                tool.name,
                subjects.tool(tool.name),
                self._handler(tool),
                metadata={
                    tools.META_DESCRIPTION: tool.description,
                    tools.META_SCHEMA: codec.encode(tool.arguments.schema).decode(),
                },
            )
            for tool in self.catalog
        ]

    def _handler(self, tool: Tool) -> Handler:
        async def handle(request: Request) -> bytes:
            outcome = "error"
            try:
                answer = await self.answer(tool, request)
                outcome = answer.outcome
            except DeadlineMissed:
                outcome = "deadline"
                raise
            except Refused:
                outcome = "refused"
                raise
            finally:
                metrics.tool_requests.labels(tool.name, outcome).inc()
                call = _call(request.headers)
                _log.info("tool answered", tool=tool.name, outcome=outcome, call_id=call)
            await announce(self.bus, answer.changes)
            return answer.result

        return handle

    async def answer(self, tool: Tool, request: Request) -> Answer:
        """Do what is asked, once for each key. The commit is done when this returns.

        Raises Refused: 400 bad headers, 404 unknown caller, 409 key used for something else, 503
        database away, 504 (DeadlineMissed) not done in time.
        """
        head = read_head(request.headers)
        try:
            values = tool.arguments.read(request.data)
        except BadArguments as error:
            return Answer(codec.encode(Failed(str(error))), "failed")
        async with self.database.transaction(head.within_s) as connection:
            return await _within(connection, tool, head, values)


async def _within(
    connection: Connection, tool: Tool, head: Head, values: dict[str, object]
) -> Answer:
    caller = await Callers(connection).get(head.caller_id)
    if caller is None:
        raise Refused(404, "there is no such caller")
    results = Results(connection)
    if not tool.read_only:
        stored = await results.claim(head.key, caller.caller_id, tool.name)
        if stored is not None:
            return Answer(stored, "repeated")
    mine = Todos(connection, caller.caller_id)
    told = await tool.run(Context(caller, clock.utc_now(), mine), values)
    result = codec.encode(told)
    if not tool.read_only:
        await results.keep(head.key, result)
    return Answer(result, "failed" if isinstance(told, Failed) else "ok", tuple(mine.changes))


def read_head(headers: Mapping[str, str]) -> Head:
    """The headers of a tool request, checked. Raises Refused(400) naming the header."""
    return Head(
        CallerId(_token(headers, tools.CALLER)),
        _token(headers, tools.IDEMPOTENCY_KEY),
        _deadline_ms(headers) / 1000,
    )


def _call(headers: Mapping[str, str]) -> str | None:
    """The call that asks, for the log alone; None when the header names none."""
    try:
        return ids.call_id(headers.get(tools.CALL, ""))
    except InvalidToken:
        return None


def _token(headers: Mapping[str, str], name: str) -> str:
    try:
        return ids.token(headers.get(name, ""))
    except InvalidToken:
        raise Refused(400, f"header {name} must be 1 to 128 of A-Z a-z 0-9 _ and -") from None


def _deadline_ms(headers: Mapping[str, str]) -> int:
    text = headers.get(tools.DEADLINE_MS)
    if text is None:
        return DEFAULT_DEADLINE_MS
    try:
        deadline = msgspec.convert(text, int, strict=False)
    except msgspec.ValidationError:
        deadline = 0
    if deadline <= 0:
        raise Refused(400, f"header {tools.DEADLINE_MS} must be a whole number of ms above 0")
    return min(deadline, MOST_DEADLINE_MS)
