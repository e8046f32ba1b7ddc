"""Every bad message that only its recipient can see through, from the hub's real steps to a real gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.gateway.receiving import check_document
from hub.core.manifest import MessageType
from hub.errors import Refused
from tests.bad_inputs.smith import CANARY
from tests.bad_inputs.station_run import run_through_gateway
from tests.bad_inputs.table import gateway_groups

GROUPS = gateway_groups()


@pytest.mark.parametrize("name", GROUPS)
async def test_bad_messages(name: str, tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Refused or delivered as the table says, told in a signed receipt list, content nowhere, the last is delivered."""
    for result in await run_through_gateway(GROUPS[name], tmp_path):
        with subtests.test(result.case.id):
            assert (result.became, result.faults) == (result.case.expected, ())


def test_a_refused_document_is_not_quoted() -> None:
    """The error of a received document repeats no name or value in it."""
    with pytest.raises(Refused) as caught:
        check_document(b'{"event":"mla.executed","%s":"%s"}' % ((CANARY.encode(),) * 2), MessageType.RESPONSE)
    assert CANARY not in str(caught.value)
    assert caught.value.code == "content-malformed"
