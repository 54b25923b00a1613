"""Sentences to be said word for word: in order, once, and again when they had not sounded."""

from ai_agent.dictation import KEY, Dictation
from ai_agent.realtime import events as rt


def created(number, response="r1"):
    return rt.ResponseCreated(rt.Response(response, metadata={KEY: str(number)}))


def ended(response="r1", status="completed"):
    return rt.ResponseDone(rt.Response(response, status=status))


def asked(dictation):
    wanted = dictation.next()
    assert wanted is not None
    return wanted


def test_one_after_the_other_and_each_once():
    dictation = Dictation()
    dictation.add("We  open\nat nine.")
    dictation.add("We close at five.")
    first = asked(dictation)
    assert '"We open at nine."' in first.instructions
    assert dictation.next() is None, "the first is under way"
    dictation.on_event(created(1))
    dictation.on_event(rt.AudioDelta("r1", "a1", b"\x10"))
    assert dictation.open
    dictation.on_event(ended())
    assert '"We close at five."' in asked(dictation).instructions
    dictation.on_event(created(2, "r2"))
    dictation.on_event(ended("r2"))
    assert not dictation.open
    assert dictation.next() is None


def test_what_had_not_sounded_is_said_in_the_next_session():
    dictation = Dictation()
    dictation.add("We open at nine.")
    dictation.add("We close at five.")
    asked(dictation)
    dictation.on_event(created(1))
    dictation.session_over()
    assert '"We open at nine."' in asked(dictation).instructions
    dictation.on_event(created(2, "r2"))
    dictation.on_event(rt.AudioDelta("r2", "a1", b"\x10"))
    dictation.session_over()
    assert '"We close at five."' in asked(dictation).instructions, "what was begun is not doubled"


def test_the_words_of_that_response_alone_are_compared():
    dictation = Dictation()
    dictation.add("We open at nine.")
    asked(dictation)
    assert not dictation.deviates("r1", "Good morning."), "not known yet to be its response"
    dictation.on_event(created(1))
    assert not dictation.deviates("r0", "Good morning.")
    assert not dictation.deviates("r1", "we open, at NINE")
    assert not dictation.deviates("r1", "We open"), "cut by the caller"
    assert dictation.deviates("r1", "We open at ten.")
    assert dictation.deviates("r1", "We open at nine. Anything else?")


def test_a_model_that_does_not_tell_metadata_back_blocks_nothing():
    dictation = Dictation()
    dictation.add("We open at nine.")
    asked(dictation)
    dictation.on_event(rt.ResponseCreated(rt.Response("r1")))
    dictation.on_event(ended())
    assert not dictation.open


def test_nothing_is_left_when_an_operator_speaks():
    dictation = Dictation()
    dictation.add("We open at nine.")
    dictation.add("We close at five.")
    asked(dictation)
    dictation.clear()
    dictation.session_over()
    assert not dictation.open
