"""Faults of I2, I3 and I4."""

from __future__ import annotations

from tests.faults.plants.plot import Plot, swap


def forged_copy(plot: Plot) -> None:
    """A copy that nobody sent."""
    copy = plot.copy(plot.accepted())
    members = ("topic", "sender", "recipient", "digest")
    new = {"kind": "copy", "id": "id-forged", "jws": "jws-forged", "seq": 1}
    plot.add(**{name: copy[name] for name in members} | new)


def forged_sender(plot: Plot) -> None:
    """A copy came from the outbox of another than its sender."""
    copy = plot.copy(plot.accepted())
    copy["sender"] = plot.elsewhere(f"inbox.{copy['sender']}", copy["topic"]).removeprefix("inbox.")


def forged_record(plot: Plot) -> None:
    """An outbox has a record that nobody sent; the hub refuses it properly."""
    sent = plot.chance.choice(plot.final("outbox"))
    new = plot.add(sent["topic"], kind="outbox", jws=None, digest="digest-forged")
    about: dict[str, object] = {"jws": None, "code": "manifest-missing", "counted": False}
    about["outbox"] = {"topic": new["topic"], "offset": new["offset"]}
    writer = "router-shard-0"
    plot.write(writer, "hub.ledger", about | {"kind": "message", "id": None, "repeat": False})
    plot.write(
        writer, f"inbox.{sent['topic'].removeprefix('outbox.')}", about | {"kind": "receipt", "id": "receipt-new"}
    )
    plot.add("hub.quarantine", kind="quarantine", outbox=about["outbox"], code=about["code"])


def words_about_nothing(plot: Plot) -> None:
    """The ledger and a receipt tell of a record that is not there."""
    entry = plot.accepted()
    spot = entry.said["outbox"] | {"offset": 10_000}
    plot.chance.choice([entry, plot.about("receipt", entry), plot.about("routed", entry)]).double(outbox=spot)


def invented_level(plot: Plot) -> None:
    """The ledger has a level that the receipt list does not say."""
    plot.chance.choice(plot.said("level")).double(id="id-invented")


def delivery_of_nothing(plot: Plot) -> None:
    """A recipient took over what is not in its inbox."""
    delivery = plot.chance.choice(plot.story.recipients)
    delivery["offset"] += plot.chance.choice([1000, 2000])


def delivery_of_another(plot: Plot) -> None:
    """A recipient took over another message than the one that lies there."""
    delivery = plot.chance.choice(plot.story.recipients)
    delivery["id"] = "id-forged"


def other_value(plot: Plot) -> None:
    """The value of a copy is another than what was sent."""
    copy = plot.copy(plot.accepted())
    copy["digest"] = "digest-altered"
    for delivery in plot.story.recipients:
        if (delivery["sender"], delivery["id"]) == (copy["sender"], copy["id"]):
            delivery["digest"] = copy["digest"]


def other_header(plot: Plot) -> None:
    """A header of a copy was changed on the way."""
    plot.copy(plot.accepted())["record"] = "record-altered"


def other_delivery(plot: Plot) -> None:
    """A recipient took over other bytes than those in its inbox."""
    plot.chance.choice(plot.story.recipients)["digest"] = "digest-altered"


def gap_untold(plot: Plot) -> None:
    """A number was used up by a refusal, and the recipient was not told."""
    plot.chance.choice([each for each in plot.said("gap") if _is_followed(plot, each.said["jws"])]).drop()


def _is_followed(plot: Plot, jws: str) -> bool:
    line = plot.attempts(jws=jws)[0]
    copies = plot.final("copy", sender=line["sender"], recipient=line["recipient"])
    return any(copy["seq"] > line["seq"] for copy in copies)


def copy_between_gone(plot: Plot) -> None:
    """A copy is missing, and a later one of its pair is there."""
    earlier, _ = plot.chance.choice(list(plot.pair_runs(plot.final("copy"))))
    plot.drop(earlier)
    plot.untake(earlier)


def copies_swapped(plot: Plot) -> None:
    """Two copies of a pair lie in the wrong order."""
    earlier, later = plot.chance.choice(list(plot.pair_runs(plot.final("copy"))))
    swap(earlier, later, "record", "id", "seq", "jws", "digest")


def number_reused(plot: Plot) -> None:
    """Two messages of a pair have one number, and both were accepted."""
    earlier, later = plot.chance.choice(list(plot.pair_runs(plot.final("copy"))))
    for line in (later, *plot.attempts(jws=later["jws"])):
        line["seq"] = earlier["seq"]


def deliveries_swapped(plot: Plot) -> None:
    """A recipient took a later message of a pair before an earlier one."""
    taken = plot.story.recipients
    earlier, later = plot.chance.choice(list(plot.pair_runs(taken)))
    one, other = taken.index(earlier), taken.index(later)
    taken[one], taken[other] = later, earlier


def claim_after_copy(plot: Plot) -> None:
    """The claim by which a copy is judged came after it."""
    plot.move(plot.about("routed", plot.accepted()))


def gap_told_late(plot: Plot) -> None:
    """The recipient learned of a gap after the next copy."""
    plot.move(plot.chance.choice([each for each in plot.said("gap") if _is_followed(plot, each.said["jws"])]))


def copy_elsewhere(plot: Plot) -> None:
    """A copy lies in the inbox of another."""
    copy = plot.copy(plot.accepted())
    plot.drop(copy)
    plot.untake(copy)
    topic = plot.elsewhere(copy["topic"])
    plot.add(**{name: value for name, value in copy.items() if name not in {"reader", "offset"}} | {"topic": topic})


def receipt_elsewhere(plot: Plot) -> None:
    """A receipt lies in the inbox of another."""
    receipt = plot.about("receipt", plot.decision())
    plot.move(receipt, plot.elsewhere(receipt.record["topic"]))


def notice_elsewhere(plot: Plot) -> None:
    """A claim for a recipient lies in the inbox of another."""
    notice = plot.chance.choice([*plot.said("routed"), *plot.said("gap")])
    plot.move(notice, plot.elsewhere(notice.record["topic"]))


def flag_elsewhere(plot: Plot) -> None:
    """A third authority was told of a clock."""
    flag = plot.chance.choice([each for each in plot.said("flag") if each.record["kind"] == "bundle"])
    sides = {each.record["topic"] for each in plot.said("flag", id=flag.said["id"])}
    plot.write(flag.record["writer"], plot.elsewhere(*sides), flag.said)
