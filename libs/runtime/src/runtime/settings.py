"""Settings of a service: one flat frozen struct, read once from the environment. The only reader
of os.environ.

A field ``nats_url`` is the variable NATS_URL. Its documentation is the ``Meta(description=...)``
of its annotation, from which ``.env.example`` and the README's table are generated. An empty
variable counts as not set.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from runtime.errors import SettingsError


class Secret:
    """A text that must not be shown: its repr and str are masked, ``reveal()`` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')" if self._text else "Secret('')"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class CommonSettings(Struct, frozen=True, kw_only=True):
    """What every service reads."""

    nats_url: Annotated[str, Meta(description="NATS servers, separated by commas")] = (
        "nats://127.0.0.1:4222"
    )
    nats_creds: Annotated[str, Meta(description="Path of a NATS credentials file; empty: none")] = (
        ""
    )
    nats_nkey: Annotated[
        str, Meta(description="Path of a file with an nkey seed, instead of NATS_CREDS")
    ] = ""
    nats_ca: Annotated[
        str, Meta(description="Path of the CA certificates that prove a tls:// NATS server")
    ] = ""
    nats_cert: Annotated[
        str, Meta(description="Path of a client certificate for NATS; its key: NATS_KEY")
    ] = ""
    nats_key: Annotated[str, Meta(description="Path of the key of NATS_CERT")] = ""
    startup_wait_s: Annotated[
        int, Meta(ge=0, description="Seconds to wait at start for what is needed; 0: for ever")
    ] = 30
    log_format: Annotated[str, Meta(pattern="^(json|console)$", description="json or console")] = (
        "json"
    )
    log_level: Annotated[
        str, Meta(pattern="^(debug|info|warning|error)$", description="debug, info, warning, error")
    ] = "info"
    otel_exporter_otlp_endpoint: Annotated[
        str,
        Meta(description="OTLP/HTTP collector of traces, like http://127.0.0.1:4318; empty: none"),
    ] = ""


class DatabaseSettings(CommonSettings, frozen=True, kw_only=True):
    """What a service with tables reads besides."""

    database_url: Annotated[
        Secret,
        Meta(description="PostgreSQL, like postgresql://user:password@host:5432/trunkline"),
    ]
    database_pool: Annotated[
        int, Meta(ge=1, le=200, description="Most database connections of one process")
    ] = 10


S = TypeVar("S", bound=Struct)


def load(kind: type[S], environ: Mapping[str, str] | None = None) -> S:
    """The settings ``kind`` from ``environ`` (default: the process's). Raises SettingsError
    naming variables.

    Lists (``tuple[str, ...]``) are separated by commas; booleans are 1/0, true/false.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    problems: list[str] = []
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        variable = field.name.upper()
        text = environ.get(variable, "").strip()
        if not text:
            if field.required:
                problems.append(f"{variable} is not set: {describe(hints[field.name])}")
            continue
        try:
            raw = (
                [p.strip() for p in text.split(",") if p.strip()] if _is_list(field.type) else text
            )
            values[field.name] = msgspec.convert(
                raw, hints[field.name], strict=False, dec_hook=_construct
            )
        except msgspec.ValidationError as error:
            shown = "" if _holds_secret(field.type) else f" (it is {text!r})"
            problems.append(f"{variable} cannot be used{shown}: {error}")
    if problems:
        raise SettingsError(problems)
    return kind(**values)


def describe(hint: Any) -> str:
    """The description in a field's annotation; empty when it has none."""
    if get_origin(hint) is Annotated:
        for extra in get_args(hint)[1:]:
            if isinstance(extra, Meta) and extra.description:
                return extra.description
    return ""


def host_port(text: str, *, default_port: int) -> tuple[str, int]:
    """Host and port of a URL-like text, for sentences and reachability probes."""
    rest = text.split("://", 1)[-1].rsplit("@", 1)[-1].split("/", 1)[0]
    host, _, port = rest.rpartition(":") if ":" in rest else (rest, "", "")
    return host or "127.0.0.1", int(port) if port.isdigit() else default_port


def _base(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _holds_secret(hint: Any) -> bool:
    return hint is Secret or any(_holds_secret(part) for part in get_args(hint))


def _is_list(hint: Any) -> bool:
    return get_origin(_base(hint)) is tuple


def _construct(kind: type, value: Any) -> Any:
    if kind is Secret:
        return Secret(str(value))
    raise NotImplementedError(f"no way to read a {kind} from the environment")
