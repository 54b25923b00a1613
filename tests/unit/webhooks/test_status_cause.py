"""Which status callbacks count as the same one."""

from starlette.datastructures import ImmutableMultiDict

from protocol.ids import CallId
from webhooks.signature import SignedForm
from webhooks.status import cause


def form(sequence: str | None = None, *, token: str = "") -> SignedForm:
    fields = {} if sequence is None else {"SequenceNumber": sequence}
    return SignedForm(CallId("CA" + "1" * 32), ImmutableMultiDict(fields), "", token)


def test_the_sequence_number_names_it_whichever_request_carried_it() -> None:
    assert cause(form("3", token="t1"), "completed") == cause(form("3", token="t2"), "completed")
    assert cause(form("3"), "completed") != cause(form("2"), "completed")
    assert cause(form("3"), "completed") != cause(form("3"), "busy")


def test_without_a_number_the_idempotency_token_does() -> None:
    for useless in (None, "", "-1", "1e3", "²", "9" * 5_000):
        assert cause(form(useless, token="t1"), "completed") == "t1"


def test_without_either_the_status_does() -> None:
    assert cause(form(), "completed") == "completed"
