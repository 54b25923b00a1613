"""The phone of compose's profile demo, before it calls: what it needs and says."""

import pytest

from testbed import one_call

GIVEN = dict.fromkeys(one_call.NEEDED, "given")


@pytest.mark.parametrize("missing", one_call.NEEDED)
async def test_what_is_not_set_is_named(missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await one_call.main(GIVEN | {missing: ""}) == 2
    assert capsys.readouterr().out.strip() == f"not set: {missing}"
