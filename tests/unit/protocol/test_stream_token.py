"""The stream token: only what we signed, only in time, short enough for a <Parameter>."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import stream_token
from protocol.errors import StreamTokenError
from protocol.ids import CallId, Leg
from protocol.stream_token import StreamToken, mint, verify

TOKEN = StreamToken(
    call=CallId("CA" + "0af1" * 8),
    previous_leg=Leg(0),
    caller="+447700900123",
    called="+442079460018",
    channel="phone",
    expires=1_900_000_060,
)
NOW = 1_900_000_000.0
SECRET = "a secret of this test"

numbers = st.text(min_size=0, max_size=20)
tokens = st.builds(
    StreamToken,
    call=st.just(TOKEN.call),
    previous_leg=st.integers(0, 2**53).map(Leg),
    caller=numbers,
    called=numbers,
    channel=st.sampled_from(["phone", "browser"]),
    expires=st.integers(int(NOW) + 1, 2**40),
    line_ms=st.integers(0, 2**40),
    operator=st.text(max_size=16),
)
anything = st.text(st.characters(), max_size=80) | st.from_regex(r"[\w-]*\.[\w-]*")


@given(tokens, st.text(min_size=1))
def test_what_was_minted_is_read_back(token: StreamToken, secret: str) -> None:
    try:
        text = mint(token, secret)
    except StreamTokenError:
        return
    assert verify(text, [secret], NOW) == token
    assert len(text) <= stream_token.MAX_LENGTH
    assert text.isascii()


def test_name_and_value_fit_a_parameter_with_room_for_long_numbers() -> None:
    token = StreamToken(
        call=TOKEN.call,
        previous_leg=Leg(2**53),
        caller="sip:a-rather-long-user-name@pbx.example.com",
        called="+442079460018",
        channel="browser",
        expires=1_900_000_060,
        line_ms=86_400_000,
        operator="mira",
    )
    assert len(stream_token.PARAMETER) + len(mint(token, SECRET)) < 500


def test_an_absurdly_long_number_is_refused_at_minting() -> None:
    with pytest.raises(StreamTokenError, match="too long"):
        mint(StreamToken(TOKEN.call, Leg(0), "9" * 400, "", "phone", 1), SECRET)


@given(st.data())
def test_no_changed_character_passes(data: st.DataObject) -> None:
    text = mint(TOKEN, SECRET)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda c: c != text[place]))
    with pytest.raises(StreamTokenError):
        verify(text[:place] + other + text[place + 1 :], [SECRET], NOW)


@given(st.text(st.characters(), max_size=600) | anything)
def test_garbage_is_refused_with_the_one_error(text: str) -> None:
    with pytest.raises(StreamTokenError):
        verify(text, [SECRET], NOW)


def test_the_signature_of_one_token_does_not_serve_another() -> None:
    other = mint(StreamToken(TOKEN.call, Leg(9), "", "", "phone", TOKEN.expires), SECRET)
    mixed = mint(TOKEN, SECRET).partition(".")[0] + "." + other.partition(".")[2]
    with pytest.raises(StreamTokenError, match="foreign"):
        verify(mixed, [SECRET], NOW)


@pytest.mark.parametrize(("now", "fresh"), [(-0.001, True), (0, False), (3600, False)])
def test_it_lives_until_its_second(now: float, fresh: bool) -> None:
    text = mint(TOKEN, SECRET)
    if fresh:
        assert verify(text, [SECRET], TOKEN.expires + now) == TOKEN
    else:
        with pytest.raises(StreamTokenError, match="expired"):
            verify(text, [SECRET], TOKEN.expires + now)


def test_rotation_accepts_any_listed_secret_and_no_other() -> None:
    old, new = mint(TOKEN, "old"), mint(TOKEN, "new")
    for text in (old, new):
        assert verify(text, ["new", "old"], NOW) == TOKEN
    assert verify(new, ["new"], NOW) == TOKEN
    for secrets in (["new"], [], [""]):
        with pytest.raises(StreamTokenError, match="foreign"):
            verify(old, secrets, NOW)


def test_a_well_signed_payload_that_is_no_token_is_refused() -> None:
    for payload in ("", "bnVsbA", "W10", "!!!!", "a"):
        text = f"{payload}.{stream_token._mac(payload, SECRET)}"
        with pytest.raises(StreamTokenError, match="malformed"):
            verify(text, [SECRET], NOW)


def test_an_error_never_repeats_the_token() -> None:
    text = mint(TOKEN, SECRET)
    for wrong, now in ((text + "x", NOW), (text, TOKEN.expires + 1.0), ("secretish", NOW)):
        with pytest.raises(StreamTokenError) as caught:
            verify(wrong, [SECRET], now)
        assert wrong not in str(caught.value)
        assert TOKEN.caller not in str(caught.value)
