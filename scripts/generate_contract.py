"""Renders the contract of libs/protocol for those who do not read Python: the AsyncAPI document, a
JSON Schema a message, the reference page, and the NATS permissions of every user.

Run by hand (`make generate`) after a message or a channel changed; ``--check`` changes nothing and
says what is out of date. A test calls it.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import Struct

from protocol import permissions
from protocol.channel import Channel, Role
from protocol.channels import channels
from protocol.events import Event, name_of

ROOT = Path(__file__).parents[1]
REFERENCE = Path("docs/reference")
PERMISSIONS = Path("deploy/nats/permissions.conf")
DRAFT = "https://json-schema.org/draft/2020-12/schema"
KINDS = {
    "event": "Events",
    "log": "The log",
    "message": "Messages",
    "audio": "Audio",
    "request": "Requests",
}
WORDS = {
    "event": "What happened in a call, live and in order. Everybody may subscribe: "
    "`nats sub 'call.*.event.>'`. The header `Nats-Sequence` is the place in the log.",
    "log": "Where the one writer of an event publishes it, with an ack, into the stream `CALLS`; "
    "consumers of the stream filter on these subjects. Nobody else publishes here.",
    "message": "Not kept: who is not there misses it.",
    "audio": "Raw mu-law bytes, 8 kHz, mono, no header.",
    "request": "Request and reply. `tools`, `todos`, `callers` and `calls` follow the NATS service "
    "API (ADR-32): errors come as headers `Nats-Service-Error` and `Nats-Service-Error-Code`.",
}
PARAMETERS = {
    "call": "Twilio's CallSid; browser calls have one of our own",
    "leg": "Stream sequence of the `stream_started` that opened this media socket",
    "epoch": "Stream sequence of the `assigned` that holds the call",
    "worker": "Name of an agent worker",
    "ingress": "Name of a stream-ingress process",
    "tool": "Name of a tool",
    "track": "caller or assistant",
    "caller": "Id of a caller's record",
}


def files() -> dict[Path, str]:
    """Every generated file and its text."""
    table = channels()
    made = {
        REFERENCE / "asyncapi.json": _json(asyncapi(table)),
        REFERENCE / "messages.md": page(table),
        PERMISSIONS: permission_file(),
    }
    for kind in _messages(table):
        made[REFERENCE / "schemas" / f"{schema_name(kind)}.json"] = _json(schema(kind))
    return made


def asyncapi(table: Sequence[Channel]) -> dict[str, Any]:
    """The AsyncAPI 3 document: what Trunkline sends, and what it answers."""
    kinds = list(_messages(table))
    payloads, components = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}"
    )
    document: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Trunkline",
            "version": version("protocol"),
            "description": "AI phone calls as events, over NATS. Fields are only ever added.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {"nats": {"host": "nats:4222", "protocol": "nats"}},
        "channels": {},
        "operations": {},
        "components": {
            "messages": {
                schema_name(kind): {
                    "name": schema_name(kind),
                    "summary": _doc(kind),
                    "payload": payload,
                }
                for kind, payload in zip(kinds, payloads, strict=True)
            },
            "schemas": components,
        },
    }
    audio = {"name": "audio", "contentType": "audio/basic", "summary": WORDS["audio"]}
    document["components"]["messages"] |= {"audio": audio, "tool": _TOOL}
    for channel in table:
        _add(document, channel)
    return document


_TOOL = {
    "name": "tool",
    "contentType": "application/json",
    "summary": "A JSON object: a tool's arguments, or its result for the model",
    "payload": {"type": "object"},
}


def _add(document: dict[str, Any], channel: Channel) -> None:
    name = channel.name.replace(".", "_")
    carried = [schema_name(kind) for kind in channel.messages]
    carried = carried or (["audio"] if channel.kind == "audio" else ["tool"])
    replies = [schema_name(kind) for kind in channel.replies]
    if channel.kind == "request":
        replies = replies or ["tool"]
    reference = {"$ref": f"#/channels/{name}"}
    document["channels"][name] = {
        "address": channel.address,
        "summary": channel.summary,
        "messages": {
            each: {"$ref": f"#/components/messages/{each}"}
            for each in dict.fromkeys([*carried, *replies])
        },
        **_parameters(channel),
    }
    operation: dict[str, Any] = {
        "action": "receive" if channel.kind == "request" else "send",
        "channel": reference,
        "summary": _who(channel),
        "messages": [{"$ref": f"#/channels/{name}/messages/{each}"} for each in carried],
    }
    if channel.kind == "request":
        answers = [{"$ref": f"#/channels/{name}/messages/{each}"} for each in replies]
        operation["reply"] = {
            "address": {"location": "$message.header#/reply"},
            "messages": answers,
        }
    document["operations"][name] = operation


def _parameters(channel: Channel) -> dict[str, Any]:
    if not channel.parameters:
        return {}
    found = {name: {"description": PARAMETERS[name]} for name in channel.parameters}
    return {"parameters": found}


def schema(kind: type[Struct]) -> dict[str, Any]:
    """The JSON Schema of one message, self-contained."""
    made = msgspec.json.schema(kind)
    return {"$schema": DRAFT, "title": kind.__name__, **made}


def schema_name(kind: type[Struct]) -> str:
    """As its golden is named: ``event.ringing``, ``line.Clock``."""
    if issubclass(kind, Event):
        return f"event.{name_of(kind)}"
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"


def page(table: Sequence[Channel]) -> str:
    """docs/reference/messages.md."""
    lines = [
        "# Messages",
        "",
        "Made by `make generate` from `libs/protocol`; do not edit. The same as an "
        "[AsyncAPI document](asyncapi.json) and as [JSON Schemas](schemas). Times that end in "
        "`_ms` are milliseconds; `line_ms` is the clock of the call's line. Programs in several "
        "languages that use them: [examples](../../examples/README.md).",
        "",
        "Fields, events and words of a list are only ever added "
        "([rules](../../libs/protocol/README.md#rules-of-evolution)): pass over what you do not "
        "know.",
    ]
    for kind, title in KINDS.items():
        lines += ["", f"## {title}", "", WORDS[kind], "", "| subject | carries | from -> to |"]
        lines += ["|---|---|---|"]
        lines += [_row(channel) for channel in table if channel.kind == kind]
    lines += ["", "## Fields", ""]
    for kind in _messages(table):
        lines += _fields(kind)
    return "\n".join(lines).rstrip() + "\n"


def _row(channel: Channel) -> str:
    address = channel.address
    for name in channel.parameters:
        address = address.replace(f"{{{name}}}", name.upper())
    links = ", ".join(_link(kind) for kind in channel.messages)
    if channel.replies:
        links += " -> " + ", ".join(_link(kind) for kind in channel.replies)
    carries = f"{links}. " if links else ""
    if channel.kind == "log":
        carries = links
    else:
        carries += channel.summary.replace("``", "`").replace("|", "\\|")
    return f"| `{address}` | {carries} | {_who(channel)} |"


def _link(kind: type[Struct]) -> str:
    name = schema_name(kind)
    return f"[`{name}`](#{name.lower().replace('.', '')})"


def _who(channel: Channel) -> str:
    sends = ", ".join(channel.senders) or "the stream"
    receives = ", ".join(channel.receivers) or "the stream"
    return f"{sends} -> {'everybody' if channel.kind == 'event' else receives}"


def _fields(kind: type[Struct]) -> list[str]:
    lines = [f"### {schema_name(kind)}", "", _doc(kind).replace("``", "`"), ""]
    described = msgspec.json.schema_components([kind])[1][kind.__name__]
    properties = described.get("properties", {})
    if not properties:
        return lines
    needed = set(described.get("required", ()))
    lines += ["| field | type | |", "|---|---|---|"]
    for name, each in properties.items():
        lines.append(f"| `{name}` | {_type(each)} | {'required' if name in needed else ''} |")
    return [*lines, ""]


def _type(described: dict[str, Any]) -> str:
    if "$ref" in described:
        return described["$ref"].rpartition("/")[2]
    if "enum" in described:
        return ", ".join(f"`{value}`" for value in described["enum"])
    if "anyOf" in described:
        return " or ".join(_type(one) for one in described["anyOf"])
    if described.get("type") == "array":
        items: dict[str, Any] | bool = described.get("items", False)
        return f"list of {_type(items)}" if isinstance(items, dict) else "list"
    kind = str(described.get("format") or described.get("type", "any"))
    if described.get("contentEncoding"):
        return described["contentEncoding"]
    return kind


def permission_file() -> str:
    """deploy/nats/permissions.conf: one variable a user, to be included by a server's config."""
    lines = [
        "# What each NATS user of Trunkline may do, made by `make generate` from the table of",
        "# channels in libs/protocol; do not edit. Include it and name it in a user:",
        "#   authorization { users: [",
        "#     { user: webhooks, password: $WEBHOOKS_PASSWORD, permissions: $WEBHOOKS } ] }",
    ]
    for role in get_args(Role):
        allowed = permissions.permissions(role)
        lines += ["", f"{variable(role)} {{"]
        lines += _list("publish", allowed.publish, denied=allowed.denied)
        lines += _list("subscribe", allowed.subscribe)
        if allowed.responds:
            lines.append('  allow_responses: { max: 1000, expires: "1m" }')
        lines.append("}")
    return "\n".join(lines) + "\n"


def variable(role: str) -> str:
    """The name of a role's permissions in permissions.conf."""
    return role.replace("-", "_").upper()


def _list(what: str, subjects: Iterable[str], denied: Sequence[str] = ()) -> list[str]:
    inside = [f'      "{subject}"' for subject in subjects]
    # An empty allow list would allow everything.
    if not inside:
        return [f'  {what}: {{ deny: ">" }}']
    lines = [f"  {what}: {{", "    allow: [", *inside, "    ]"]
    if denied:
        refused = ", ".join(f'"{one}"' for one in denied)
        lines.append(f"    deny: [{refused}]")
    return [*lines, "  }"]


def _messages(table: Sequence[Channel]) -> Iterator[type[Struct]]:
    seen: set[type[Struct]] = set()
    for channel in table:
        for kind in (*channel.messages, *channel.replies):
            if kind not in seen:
                seen.add(kind)
                yield kind


def _doc(kind: type[Struct]) -> str:
    own = kind.__dict__.get("__doc__") or ""
    return " ".join(own.split())


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write the files, or with ``--check`` compare them. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; 1 when out of date")
    check: bool = parser.parse_args(arguments).check
    wanted = files()
    stale = sorted(
        str(path)
        for path, text in wanted.items()
        if not (root / path).exists() or (root / path).read_text("utf-8") != text
    )
    left = {
        path.relative_to(root) for path in (root / REFERENCE / "schemas").glob("*.json")
    } - wanted.keys()
    if check:
        for name in (*stale, *sorted(map(str, left))):
            sys.stderr.write(f"{name} is out of date: run make generate\n")
        return 1 if stale or left else 0
    for path, text in wanted.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    for path in left:
        (root / path).unlink()
    sys.stdout.write(f"{len(stale) + len(left)} files of the contract changed\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
