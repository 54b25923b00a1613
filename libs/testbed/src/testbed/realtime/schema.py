"""A few combinators that check JSON as the Realtime API does and name the failing field.

A check takes a value and its path ("session.audio.input") and returns the value, with nested
defaults filled in, or raises ApiError. Used by `config` and `commands` only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from testbed.realtime.errors import ApiError, invalid, missing, unknown, wrong_type

Check = Callable[[Any, str], Any]
JsonObject = dict[str, Any]


def as_object(value: Any, path: str) -> JsonObject:
    """The value as a JSON object, or ApiError invalid_type."""
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)
    return cast("JsonObject", value)


def anything(value: Any, path: str) -> Any:
    """A field whose content the simulation passes on unseen."""
    return value


def boolean(value: Any, path: str) -> Any:
    """true or false."""
    if not isinstance(value, bool):
        raise wrong_type(path, "a boolean", value)
    return value


def text(max_chars: int = 256_000) -> Check:
    """A string of at most `max_chars` characters."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, str):
            raise wrong_type(path, "a string", value)
        if len(value) > max_chars:
            raise ApiError(
                "string_above_max_length",
                f"Invalid '{path}': string too long. Expected a string with maximum length "
                f"{max_chars}, but got a string with length {len(value)} instead.",
                param=path,
            )
        return value

    return check


def number(low: float, high: float, *, whole: bool = True) -> Check:
    """A number in [low, high]; whole numbers only unless `whole` is false."""
    prefix = "integer" if whole else "decimal"

    def check(value: Any, path: str) -> Any:
        allowed = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed):
            raise wrong_type(path, "an integer" if whole else "a decimal", value)
        if value < low:
            raise ApiError(
                f"{prefix}_below_min_value",
                f"Invalid '{path}': {prefix} below minimum value. Expected a value >= {low}, "
                f"but got {value} instead.",
                param=path,
            )
        if value > high:
            raise ApiError(
                f"{prefix}_above_max_value",
                f"Invalid '{path}': {prefix} above maximum value. Expected a value <= {high}, "
                f"but got {value} instead.",
                param=path,
            )
        return value

    return check


def one_of(*values: str) -> Check:
    """One of these strings."""

    def check(value: Any, path: str) -> Any:
        if value not in values:
            listed = ", ".join(f"'{v}'" for v in values)
            raise invalid(path, f"Invalid value: '{value}'. Supported values are: {listed}.")
        return value

    return check


def nullable(inner: Check) -> Check:
    """null, or what `inner` accepts."""
    return lambda value, path: None if value is None else inner(value, path)


def array(inner: Check) -> Check:
    """A list whose members `inner` accepts."""

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise wrong_type(path, "an array", value)
        members = cast("list[Any]", value)
        return [inner(member, f"{path}[{index}]") for index, member in enumerate(members)]

    return check


def record(
    required: Mapping[str, Check] | None = None,
    optional: Mapping[str, Check] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Check:
    """An object with exactly these fields; absent ones in `defaults` are filled in."""
    need, may = dict(required or {}), dict(optional or {})
    known = need | may

    def check(value: Any, path: str) -> Any:
        given = as_object(value, path)
        for name in given:
            if name not in known:
                raise unknown(f"{path}.{name}" if path else name)
        for name in need:
            if name not in given:
                raise missing(f"{path}.{name}" if path else name)
        checked = dict(defaults or {})
        for name, member in given.items():
            checked[name] = known[name](member, f"{path}.{name}" if path else name)
        return checked

    return check


def tagged(field: str, cases: Mapping[str, Check]) -> Check:
    """An object whose `field` decides which of `cases` checks it."""
    names = one_of(*cases)

    def check(value: Any, path: str) -> Any:
        given = as_object(value, path)
        inner = f"{path}.{field}" if path else field
        if field not in given:
            raise missing(inner)
        names(given[field], inner)
        return cases[given[field]](given, path)

    return check


def either(*checks: Check) -> Check:
    """The first of `checks` that accepts; the last one's error if none does."""

    def check(value: Any, path: str) -> Any:
        for candidate in checks[:-1]:
            try:
                return candidate(value, path)
            except ApiError:
                continue
        return checks[-1](value, path)

    return check
