"""Settings from the environment: every problem is named by its variable, no secret is shown."""

from typing import Annotated, Literal

import pytest
from msgspec import Meta

from runtime.errors import SettingsError
from runtime.settings import CommonSettings, Secret, describe, host_port, load


class Example(CommonSettings, frozen=True, kw_only=True):
    account: Annotated[str, Meta(description="An account")]
    auth_tokens: Annotated[tuple[Secret, ...], Meta(min_length=1, description="Tokens, rotating")]
    mode: Annotated[Literal["fast", "slow"], Meta(description="How")] = "fast"
    port: Annotated[int, Meta(ge=1, le=65535, description="A port")] = 8080
    ratio: float = 0.5
    enabled: bool = False
    names: tuple[str, ...] = ()
    key: Annotated[Secret, Meta(description="A key")] = Secret("")


REQUIRED = {"ACCOUNT": "AC1", "AUTH_TOKENS": "one"}


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(Example, environ)
    return caught.value.problems


def test_defaults_hold_where_nothing_is_set() -> None:
    settings = load(Example, REQUIRED)
    assert (settings.port, settings.ratio, settings.enabled, settings.names) == (
        8080,
        0.5,
        False,
        (),
    )
    assert settings.nats_url == "nats://127.0.0.1:4222"
    assert settings.startup_wait_s == 30
    assert not settings.key


def test_every_kind_of_value_is_read() -> None:
    settings = load(
        Example,
        {
            **REQUIRED,
            "AUTH_TOKENS": " one , two,",
            "MODE": "slow",
            "PORT": " 9000 ",
            "RATIO": "0.25",
            "NAMES": "a, b",
            "KEY": "k",
        },
    )
    assert [token.reveal() for token in settings.auth_tokens] == ["one", "two"]
    assert (settings.mode, settings.port, settings.ratio) == ("slow", 9000, 0.25)
    assert settings.names == ("a", "b")
    assert settings.key.reveal() == "k"


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("true", True), ("0", False), ("false", False)]
)
def test_booleans(text: str, value: bool) -> None:
    assert load(Example, {**REQUIRED, "ENABLED": text}).enabled is value


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_variable_counts_as_not_set(empty: str) -> None:
    assert load(Example, {**REQUIRED, "PORT": empty, "NAMES": empty, "KEY": empty}).port == 8080
    (problem,) = problems({**REQUIRED, "ACCOUNT": empty})
    assert problem == "ACCOUNT is not set: An account"


def test_all_problems_are_told_at_once_each_by_its_variable() -> None:
    found = problems({"PORT": "http", "MODE": "medium", "LOG_FORMAT": "xml", "ENABLED": "maybe"})
    variables = ["LOG_FORMAT", "ACCOUNT", "AUTH_TOKENS", "MODE", "PORT", "ENABLED"]
    assert len(found) == len(variables)
    for variable, problem in zip(variables, found, strict=True):
        assert problem.startswith(variable)
    assert "'http'" in found[4], "what was set is shown, so that the mistake is seen"


@pytest.mark.parametrize(("variable", "wrong"), [("PORT", "0"), ("PORT", "70000"), ("RATIO", "x")])
def test_bounds_and_types(variable: str, wrong: str) -> None:
    (problem,) = problems({**REQUIRED, variable: wrong})
    assert problem.startswith(f"{variable} cannot be used (it is '{wrong}')")


class Strict(CommonSettings, frozen=True, kw_only=True):
    tokens: Annotated[tuple[Secret, ...], Meta(min_length=2)]
    maybe: Secret | None = None


def test_a_secret_is_not_shown_in_errors_nor_in_repr() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Strict, {"TOKENS": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert "TOKENS cannot be used" in str(caught.value)
    settings = load(Strict, {"TOKENS": "hunter2,hunter3", "MAYBE": "hunter4"})
    for text in (repr(settings), str(settings), f"{settings.tokens}", f"{settings.tokens[0]!s}"):
        assert "hunter" not in text
    assert "***" in repr(settings)


def test_secrets_compare_by_their_text() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != "a"
    assert repr(Secret("")) == "Secret('')"


def test_descriptions_are_found() -> None:
    assert describe(Annotated[str, Meta(description="An account")]) == "An account"
    assert describe(str) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nats://10.0.0.7:4333", ("10.0.0.7", 4333)),
        ("nats://user:secret@host:4333", ("host", 4333)),
        ("host", ("host", 4222)),
        ("nats://host/", ("host", 4222)),
        ("", ("127.0.0.1", 4222)),
    ],
)
def test_host_and_port_of_a_url(text: str, expected: tuple[str, int]) -> None:
    assert host_port(text, default_port=4222) == expected
