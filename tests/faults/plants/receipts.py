"""Faults of I5."""

from __future__ import annotations

from tests.faults.plants.plot import Plot, Said


def receipt_doubled(plot: Plot) -> None:
    """A sender got a receipt twice."""
    plot.about("receipt", plot.decision()).double()


def receipt_of_two_ids(plot: Plot) -> None:
    """A repeat got a receipt of its own instead of the first one."""
    jws = plot.decision(repeat=True).said["jws"]
    first = plot.chance.choice(plot.said("message", jws=jws, repeat=False, counted=True))
    plot.about("receipt", first).said["id"] = "receipt-new"


def refusal_of_two_ids(plot: Plot) -> None:
    """The repeat of a refusal got a receipt of its own instead of the first one."""
    refused = plot.chance.choice([each for each in plot.said("message", repeat=True) if each.said["code"]])
    plot.said("receipt", jws=refused.said["jws"])[0].said["id"] = "receipt-new"


def id_of_two_receipts(plot: Plot) -> None:
    """Two different receipts have one id."""
    receipts = plot.said("receipt")
    one = plot.chance.choice(receipts)
    other = plot.chance.choice([each for each in receipts if each.said["id"] != one.said["id"]])
    one.said["id"] = other.said["id"]


def accepted_by_two(plot: Plot) -> None:
    """A repeat was accepted by a second receipt, about its own place."""
    repeat = plot.decision(repeat=True, code=None)
    receipt = plot.said("receipt", jws=repeat.said["jws"], code=None)[-1]
    receipt.said.update(id="receipt-new", outbox=repeat.said["outbox"])


def level_doubled(plot: Plot) -> None:
    """The ledger has a level twice."""
    plot.chance.choice(plot.said("level")).double()


def delivered_by_two_lists(plot: Plot) -> None:
    """Two receipt lists say that a message was delivered."""
    opened = plot.chance.choice(plot.said("level", level="opened"))
    _say(plot, opened, "delivered")


def levels_swapped(plot: Plot) -> None:
    """A message was opened before it was delivered."""
    opened = plot.chance.choice(plot.said("level", level="opened"))
    delivered = plot.said("level", level="delivered", id=opened.said["id"])[0]
    _say(plot, opened, "delivered")
    _say(plot, delivered, "opened")


def never_delivered(plot: Plot) -> None:
    """A message was opened, and never delivered."""
    delivered = plot.chance.choice(plot.said("level", level="delivered"))
    references = _references(plot, delivered)
    references[:] = [each for each in references if each["id"] != delivered.said["id"]]
    delivered.drop()


def delivered_before_accepted(plot: Plot) -> None:
    """The ledger has a level before the message's own entry."""
    level = plot.chance.choice(plot.said("level", level="delivered"))
    entry = next(each for each in plot.said("message", id=level.said["id"]) if not each.said["repeat"])
    entry.drop()
    plot.write(entry.record["writer"], "hub.ledger", entry.said, entry.record["partition"])


def list_before_receipt(plot: Plot) -> None:
    """The sender read that its message was delivered before the hub's receipt for it."""
    level = plot.chance.choice(plot.said("level"))
    entry = plot.said("message", id=level.said["id"], repeat=False)[0]
    plot.move(plot.about("receipt", entry))


def _references(plot: Plot, level: Said) -> list[dict[str, str]]:
    spot = level.said["outbox"]
    references: list[dict[str, str]] = plot.attempts(topic=spot["topic"], offset=spot["offset"])[0]["references"]
    return references


def _say(plot: Plot, level: Said, name: str) -> None:
    """The receipt list, and so the ledger, says another level of a message."""
    for each in _references(plot, level):
        if each["id"] == level.said["id"]:
            each["level"] = name
    level.said["level"] = name
