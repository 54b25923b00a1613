"""TwiML: what the simulated Twilio runs and what it refuses, with Twilio's codes."""

import pytest

from testbed.twilio import twiml

BASE = "https://voice.example.com/twilio/voice"


def parse(body: str, base: str | None = BASE) -> list[twiml.Verb]:
    return twiml.parse(f'<?xml version="1.0" encoding="UTF-8"?><Response>{body}</Response>', base)


def code_of(body: str, base: str | None = BASE) -> int:
    with pytest.raises(twiml.TwimlError) as caught:
        parse(body, base)
    return caught.value.code


def connect(url: str = "wss://voice.example.com/twilio/media", attributes: str = "") -> str:
    return f'<Connect><Stream url="{url}" {attributes}/></Connect>'


def test_connect_with_everything() -> None:
    verbs = parse(
        '<Connect action="/twilio/after" method="GET">'
        '<Stream url="wss://voice.example.com/twilio/media" name="n"'
        ' statusCallback="https://voice.example.com/s" statusCallbackMethod="GET">'
        '<Parameter name="token" value="a&amp;b"/><Parameter name="empty" value=""/>'
        "</Stream></Connect><Redirect>resume</Redirect>"
    )
    stream = twiml.Stream(
        "wss://voice.example.com/twilio/media",
        "n",
        {"token": "a&b", "empty": ""},
        "https://voice.example.com/s",
        "GET",
    )
    assert verbs == [
        twiml.Connect(stream, "https://voice.example.com/twilio/after", "GET"),
        twiml.Redirect("https://voice.example.com/twilio/resume", "POST"),
    ]


def test_other_verbs() -> None:
    assert parse(
        '<Say voice="x"> Good <emphasis>day</emphasis>,\n sir</Say><Play>/a.wav</Play>'
        '<Play digits="1w2"/><Pause/><Pause length="3"/>'
        '<Dial action="/d" timeout="9">+15550100003</Dial>'
        "<Dial><Number>123</Number></Dial><Hangup/>"
    ) == [
        twiml.Say("Good day, sir"),
        twiml.Play("https://voice.example.com/a.wav"),
        twiml.Play("1w2"),
        twiml.Pause(1),
        twiml.Pause(3),
        twiml.Dial("+15550100003", "https://voice.example.com/d", "POST"),
        twiml.Dial("123", None, "POST"),
        twiml.Hangup(),
    ]
    assert parse("") == []
    assert parse('<Reject reason="busy"/>') == [twiml.Reject("busy")]
    assert parse("<Redirect/>") == [twiml.Redirect(BASE, "POST")]


def test_relative_stream_address_follows_the_document() -> None:
    [verb] = parse(connect("/twilio/media"))
    assert isinstance(verb, twiml.Connect)
    assert verb.stream.url == "wss://voice.example.com/twilio/media"


@pytest.mark.parametrize("host", ["127.0.0.1:8082", "localhost:1", "[::1]:8082"])
def test_plain_ws_on_loopback_only(host: str) -> None:
    [verb] = parse(connect(f"ws://{host}/m"))
    assert isinstance(verb, twiml.Connect)
    assert verb.stream.url == f"ws://{host}/m"
    assert code_of(connect("ws://voice.example.com/m")) == 31922


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (connect("wss://voice.example.com/m?token=1"), 31920),
        (connect("https://voice.example.com/m"), 31922),
        (connect("wss:///m"), 31923),
        (connect(attributes='track="both_tracks"'), 31941),
        (connect(attributes='extra="1"'), 12200),
        (connect(attributes='statusCallback="/relative"'), 12200),
        ("<Connect/>", 12200),
        ("<Connect><Stream/></Connect>", 12200),
        ("<Connect><Conference>x</Conference></Connect>", 12200),
        ("<Gather/>", 12200),
        ("<Hangup now='1'/>", 12200),
        ("<Say/>", 12200),
        ("<Pause length='-1'/>", 12200),
        ("<Redirect>ftp://h/x</Redirect>", 12200),
        ("<Redirect method='PUT'>/x</Redirect>", 12200),
        ("<Say>a</Say><Reject/>", 12200),
        ("<Reject reason='rude'/>", 12200),
        ("<Dial>bob</Dial>", 13223),
        ("<Dial><Sip>sip:a@b</Sip></Dial>", 12200),
        ("loose text", 12200),
        ("<Hangup/>loose", 12200),
        ("<Say>", 12100),
    ],
)
def test_refused(body: str, code: int) -> None:
    assert code_of(body) == code


def test_other_roots_are_refused() -> None:
    for document in ("", "<html/>", "{}"):
        with pytest.raises(twiml.TwimlError, match="12100"):
            twiml.parse(document, BASE)


def test_parameter_limit_is_below_500_characters() -> None:
    def stream(size: int) -> str:
        value = "v" * (size - 1)
        return (
            '<Connect><Stream url="wss://h/m">'
            f'<Parameter name="n" value="{value}"/></Stream></Connect>'
        )

    assert len(parse(stream(499))) == 1
    assert code_of(stream(500)) == 12200


def test_inline_document_has_no_relative_addresses() -> None:
    assert code_of("<Redirect>/x</Redirect>", None) == 12200
    assert code_of("<Redirect/>", None) == 12200
    assert parse("<Redirect>https://h/x</Redirect>", None) == [
        twiml.Redirect("https://h/x", "POST")
    ]
