"""Names, passwords, tokens, delays, the cookie, and where a log-in leads."""

import pytest
from starlette.requests import Request
from starlette.responses import Response

from dashboard.people import rules
from dashboard.people.cookies import Cookie
from dashboard.people.operator import ROLES, Operator, role_of


@pytest.mark.parametrize("name", ["m", "mira", "mira.k-2_x", "0", "x" * 63])
def test_names(name: str) -> None:
    assert rules.name_problem(name) is None


@pytest.mark.parametrize("name", ["", "Mira", "mira k", ".x", "x" * 64, "mira\n", "é", "(command)"])
def test_what_is_no_name(name: str) -> None:
    assert rules.name_problem(name) is not None


@pytest.mark.parametrize(
    ("password", "fine"),
    [
        ("four plain words do", True),
        ("x" * 11, False),
        ("abcd" * 3, False),
        ("x" * 30, False),
        ("abcde" * 51, True),
        ("abcde" * 52, False),
        ("longname" * 2, False),
        ("LONGNAME" * 2, False),
        ("ключ от двери", True),
    ],
)
def test_passwords(password: str, fine: bool) -> None:
    assert (rules.password_problem(password, "longname") is None) is fine


def test_one_password_however_it_was_typed() -> None:
    assert rules.same_form("mu\u0308de") == rules.same_form("m\u00fcde")


def test_only_what_looks_like_a_token_is_looked_up() -> None:
    assert rules.token_hash("x" * 43) != rules.token_hash("y" * 43)
    for odd in ("", "x" * 42, "x" * 44, "x" * 42 + "\n", "x" * 42 + "é", "x" * 42 + " "):
        assert rules.token_hash(odd) is None


def test_no_token_opens_what_none_is_set_for() -> None:
    assert rules.is_token("secret", "secret")
    assert not rules.is_token("secret ", "secret")
    assert not rules.is_token("", "")
    assert not rules.is_token("é", "secret")


def test_delays_double_to_a_bound() -> None:
    delays = [rules.delay_s(failures, free=3) for failures in range(1, 14)]
    assert delays == [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900]
    assert rules.delay_s(10**9, free=3) == 900


def test_what_people_type_as_a_name_is_not_kept() -> None:
    assert "hunter" not in rules.name_key("hunter2")
    assert rules.name_key(" Mira ") == rules.name_key("mira")
    assert len(rules.name_key("x" * 10_000)) <= 128


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("10.1.2.3", "address:10.1.2.3"),
        ("2001:db8::1", "address:2001:db8::/64"),
        ("2001:db8::ffff:1", "address:2001:db8::/64"),
        ("::ffff:10.1.2.3", "address:10.1.2.3"),
        ("", "address:unknown"),
        ("nonsense", "address:unknown"),
    ],
)
def test_whose_failures_count_together(address: str, key: str) -> None:
    assert rules.address_key(address) == key


@pytest.mark.parametrize("path", ["/", "/planner/c?show=stale", "/calls/CA1"])
def test_the_way_back(path: str) -> None:
    assert rules.way_back(path) == path


@pytest.mark.parametrize(
    "path",
    [
        *("//evil.example", "/\\evil.example", "https://evil.example", "javascript:x", ""),
        *("/\n/evil.example", "/login?next=/login", "/logout", "/é", "/" + "x" * 600, "planner"),
    ],
)
def test_no_way_out(path: str) -> None:
    assert rules.way_back(path) == "/"


def test_roles_contain_those_below() -> None:
    for rank, role in enumerate(ROLES):
        operator = Operator("mira", role)
        assert [operator.may(other) for other in ROLES] == [n <= rank for n in range(3)]
    assert role_of("admin") == "admin"
    assert role_of("root") is None


@pytest.mark.parametrize(
    ("url", "name", "secure"),
    [("http://127.0.0.1:8080", "desk", False), ("https://desk.example", "__Host-desk", True)],
)
def test_the_cookie_is_out_of_reach(url: str, name: str, secure: bool) -> None:
    cookie = Cookie(url, hours=12)
    response = Response()
    cookie.put(response, "token")
    cookie.clear(response)
    for header in response.headers.getlist("set-cookie"):
        parts = header.split("; ")
        assert parts[0].partition("=")[0] == name
        assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(parts)
        assert ("Secure" in parts) is secure
        assert "Domain" not in header
    scope = {"type": "http", "headers": [(b"cookie", f"a=b; {name}=token".encode())]}
    assert cookie.read(Request(scope)) == "token"
