"""Who may ask: host names, and the origin of changes."""

import pytest
from starlette.datastructures import Headers

from dashboard.origin import CSP, refusal

URL = "https://desk.example.com:8443"


def asked(method: str, **headers: str) -> str | None:
    given = {"host": "desk.example.com:8443"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return refusal(method, Headers(given), URL)


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_changes_from_our_own_pages_are_taken(site: str) -> None:
    assert asked("POST", sec_fetch_site=site) is None


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "nonsense"])
def test_changes_that_another_site_asks_for_are_refused(site: str) -> None:
    assert asked("POST", sec_fetch_site=site) == "origin"
    assert asked("POST", sec_fetch_site=site, origin=URL) == "origin"


def test_without_sec_fetch_site_the_origin_decides() -> None:
    assert asked("POST", origin=URL) is None
    assert asked("POST") == "origin"
    assert asked("DELETE", origin="null") == "origin"
    assert asked("POST", origin="https://desk.example.com") == "origin"
    assert asked("POST", origin="http://desk.example.com:8443") == "origin"
    assert asked("POST", origin=f"{URL}.evil.example") == "origin"


def test_reading_needs_no_origin() -> None:
    assert asked("GET", sec_fetch_site="cross-site") is None
    assert asked("HEAD") is None


@pytest.mark.parametrize(
    "host",
    ["desk.example.com", "localhost:8080", "127.0.0.1:8080", "192.168.1.7", "[::1]:8080"],
)
def test_known_hosts(host: str) -> None:
    assert refusal("GET", Headers({"host": host}), URL) is None


@pytest.mark.parametrize("host", ["evil.example", "desk.example.com.evil.example", "", "[::1", "@"])
def test_a_foreign_name_for_our_address_is_refused(host: str) -> None:
    assert refusal("GET", Headers({"host": host}), URL) == "host"
    assert refusal("POST", Headers({"host": host, "sec-fetch-site": "same-origin"}), URL) == "host"


def test_the_policy_allows_nothing_inline() -> None:
    assert "unsafe" not in CSP
    assert CSP.startswith("default-src 'none'")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_may_link_to_a_page_and_not_load_it(site: str) -> None:
    assert asked("GET", sec_fetch_site=site, sec_fetch_mode="navigate") is None
    assert asked("GET", sec_fetch_site=site, sec_fetch_mode="no-cors") == "origin"
    assert asked("GET", sec_fetch_site=site, sec_fetch_mode="cors") == "origin"
    assert asked("GET", sec_fetch_site="same-origin", sec_fetch_mode="cors") is None


def test_a_websocket_is_taken_as_a_change() -> None:
    assert asked("WEBSOCKET", origin=URL) is None
    assert asked("WEBSOCKET") == "origin"
    assert asked("WEBSOCKET", sec_fetch_site="cross-site", origin="https://x.example") == "origin"
