"""Kill a gateway before and after every effect: nothing is lost, nothing arrives twice."""

from __future__ import annotations

import pytest

from hub.core.ids import MessageId
from hub.core.manifest import MessageType

# Every effect of the story is a place to die; the default run takes a sample, the slow one each sixth place. A stride
# of 1 tries all of them in five minutes: do that after a change of the gateway.
EFFECTS_MAX = 160
STRIDE = 6
QUICK = (41,)


async def story(net, mortal, xa, xb, documents, evidence):
    """A request with a file, and its acknowledgement; ``mortal`` dies once on the way and starts again."""
    xa.hand_in("case-1", xb.name, files=[evidence])
    await survive(net, mortal)
    [received] = list(xb.desk.messages())
    xb.hand_in("ack-1", xa.name, type=MessageType.ACK, in_reply_to=MessageId(received["id"]), document=documents["ack"])
    await survive(net, mortal)


async def survive(net, mortal):
    """Let everybody work; a killed gateway starts anew on its folder."""
    for _ in range(3):
        try:
            await net.settle()
        except BaseException as error:
            if type(error).__name__ != "Crash":
                raise
            mortal.store.close()
            mortal.start()
            net.advance(6_000)  # what was published without an answer is published again
        else:
            return


@pytest.mark.parametrize("side", ["xa-moj", "xb-pgo"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "place", [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in range(0, EFFECTS_MAX, STRIDE))]
)
async def test_kill_at_every_effect(net, xa, xb, documents, tmp_path, side, after, place):
    """Whatever was done when it died, the message is there once with all its levels."""
    evidence = tmp_path / "evidence.bin"
    evidence.write_bytes(bytes(range(256)) * 100)
    mortal = net.stations[side]
    mortal.killer.at, mortal.killer.after = place, after
    await story(net, mortal, xa, xb, documents, evidence)
    assert mortal.killer.count < EFFECTS_MAX or place > 0
    [received] = list(xb.desk.messages())
    [reply] = list(xa.desk.messages())
    assert xa.levels("case-1") == ["accepted", "delivered", "opened", "acknowledged"]
    assert xb.levels("ack-1") == ["accepted", "delivered", "opened"]
    assert ("case-1", received["thread"]) == (reply["answers"], reply["thread"])
    placed = xb.root / "exchange/in" / received["id"] / received["files"][0]["file"]
    assert evidence.read_bytes() == placed.read_bytes()
    assert list((xa.root / "exchange/failed").iterdir()) + list((xb.root / "exchange/failed").iterdir()) == []
