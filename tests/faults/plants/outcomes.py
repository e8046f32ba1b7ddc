"""Faults of I1 and torn transactions."""

from __future__ import annotations

from tests.faults.plants.plot import Plot, Said

CODE = "signature-invalid"


def record_gone(plot: Plot) -> None:
    """The outbox lost what it had acknowledged (acks=1)."""
    known = {(line["topic"], line["offset"]) for line in plot.attempts(outcome="ok")}
    records = plot.final("outbox")
    plot.drop(plot.chance.choice([each for each in records if (each["topic"], each["offset"]) in known]))


def never_routed(plot: Plot) -> None:
    """The hub passed over the last record of a pair (commit before produce)."""
    entry = plot.accepted()
    copy = plot.copy(entry)
    entry.drop()
    for kind in ("receipt", "routed"):
        plot.about(kind, entry).drop()
    plot.drop(copy)
    plot.untake(copy)


def copy_gone(plot: Plot) -> None:
    """A message was accepted, and its copy never came."""
    copy = plot.copy(plot.accepted())
    plot.drop(copy)
    plot.untake(copy)


def never_taken(plot: Plot) -> None:
    """A recipient passed over a copy, and took others."""
    takers = [each["recipient"] for each in plot.story.recipients]
    several = [each for each in plot.story.recipients if takers.count(each["recipient"]) > 1]
    plot.untake(plot.chance.choice(several))


def poison_untold(plot: Plot) -> None:
    """A place that cannot be read was passed over in silence."""
    place = plot.attempts(expect="quarantine")[0]
    for record in plot.final("quarantine", outbox={"topic": place["topic"], "offset": place["offset"]}):
        plot.drop(record)


def decided_twice(plot: Plot) -> None:
    """A batch was routed again after a crash: the ledger has it twice."""
    plot.accepted().double()


def refusal_decided_twice(plot: Plot) -> None:
    """A refused record was decided again after a crash."""
    plot.decision(counted=False).double()


def copied_twice(plot: Plot) -> None:
    """A copy came again."""
    copy = plot.copy(plot.accepted())
    plot.add(**{name: value for name, value in copy.items() if name not in {"reader", "offset"}})


def taken_twice(plot: Plot) -> None:
    """A recipient took a copy over again."""
    deliveries = plot.story.recipients
    deliveries.insert(plot.chance.randint(0, len(deliveries)), dict(plot.chance.choice(deliveries)))


def written_twice(plot: Plot) -> None:
    """The broker kept both tries of one submission; the hub called the second a repeat."""
    _write_again(plot, plot.new())


def unknown_written_twice(plot: Plot) -> None:
    """Nobody knows what became of a submission; it is there more often than all attempts together explain."""
    jws = plot.attempts(outcome="info")[0]["jws"]
    entry = plot.said("message", jws=jws, code=None, repeat=False)[0]
    for _ in plot.attempts(jws=jws):
        _write_again(plot, entry)


def _write_again(plot: Plot, entry: Said) -> None:
    sent = plot.final("outbox", topic=entry.said["outbox"]["topic"], offset=entry.said["outbox"]["offset"])[0]
    again = plot.add(sent["topic"], kind="outbox", jws=sent["jws"], digest=sent["digest"])
    entry.double(repeat=True, outbox={"topic": again["topic"], "offset": again["offset"]})
    plot.about("receipt", entry).double()


def told_twice(plot: Plot) -> None:
    """A recipient got a claim about a message twice."""
    plot.chance.choice([*plot.said("routed"), *plot.said("gap")]).double()


def quarantined_twice(plot: Plot) -> None:
    """A refusal was quarantined twice."""
    entry = plot.chance.choice([each for each in plot.said("message", repeat=False) if each.said["code"]])
    plot.add("hub.quarantine", kind="quarantine", outbox=entry.said["outbox"], code=entry.said["code"])


def accepted_twice(plot: Plot) -> None:
    """A repeat was taken for a new message (deduplication in memory), and its copy withheld by luck."""
    repeat = plot.chance.choice([each for each in plot.said("message", repeat=True) if each.said["counted"]])
    repeat.said["repeat"] = False


def receipt_lies(plot: Plot) -> None:
    """The sender was told of a refusal, and the message was routed."""
    receipt = plot.about("receipt", plot.accepted())
    receipt.said["code"] = CODE


def quarantine_lies(plot: Plot) -> None:
    """The quarantine names another code than the ledger."""
    decided = [each.said["outbox"] for each in plot.said("message")]
    plot.chance.choice([each for each in plot.final("quarantine") if each["outbox"] in decided])["code"] = CODE


def refused_and_routed(plot: Plot) -> None:
    """A message was refused, and the recipient was told that it comes."""
    gap = plot.chance.choice(plot.said("gap"))
    gap.double(kind="routed")


def repeat_differs(plot: Plot) -> None:
    """A repeat was refused, and the first time it was accepted."""
    repeat = plot.decision(repeat=True, code=None)
    repeat.said["code"] = CODE


def repeat_of_nothing(plot: Plot) -> None:
    """A message was called a repeat the first time that it came."""
    plot.new().said["repeat"] = True


def repeat_came_first(plot: Plot) -> None:
    """A message was called a repeat, and the same, sent later, was accepted."""
    repeat = plot.decision(repeat=True, code=None)
    first = plot.said("message", jws=repeat.said["jws"], repeat=False, code=None)[0]
    first.said["repeat"], repeat.said["repeat"] = True, False


def other_jws(plot: Plot) -> None:
    """A claim names the JWS of another record."""
    plot.chance.choice([*plot.said("routed"), *plot.said("receipt")]).said["jws"] = "jws-of-another"


def forgery_accepted(plot: Plot) -> None:
    """What was made to be refused was accepted."""
    plot.writer(plot.accepted())["expect"] = plot.chance.choice(["refuse", "quarantine"])


def refused_wrongly(plot: Plot) -> None:
    """What was right was refused, and no unknown outcome explains it."""
    plot.writer(plot.decision(code="digest-mismatch"))["expect"] = "accept"


def repeat_unseen(plot: Plot) -> None:
    """What was made to be a repeat was taken as new."""
    plot.writer(plot.new())["expect"] = "repeat"


def undrained(plot: Plot) -> None:
    """The run gave up waiting."""
    plot.story.facts["drained"] = plot.chance.choice([False, None, "true"])


def receipt_gone(plot: Plot) -> None:
    """A decision without its receipt."""
    entry = plot.decision()
    _drop_all(plot, "receipt", entry)


def routed_gone(plot: Plot) -> None:
    """A copy without the claim by which it is judged."""
    plot.about("routed", plot.accepted()).drop()


def quarantine_gone(plot: Plot) -> None:
    """A refusal without its quarantine record."""
    codes = [each for each in plot.said("message", repeat=False) if each.said["code"]]
    for record in plot.final("quarantine", outbox=plot.chance.choice(codes).said["outbox"]):
        plot.drop(record)


def entry_gone(plot: Plot) -> None:
    """A message went through, and the ledger knows nothing of it."""
    plot.accepted().drop()


def copy_alone(plot: Plot) -> None:
    """A copy was routed, and nothing else was written."""
    entry = plot.accepted()
    for kind in ("receipt", "routed"):
        plot.about(kind, entry).drop()
    entry.drop()


def gap_gone(plot: Plot) -> None:
    """A number was used up by a refusal, and nothing told the recipient."""
    plot.chance.choice(plot.said("gap")).drop()


def level_gone(plot: Plot) -> None:
    """A receipt list went through, and the ledger has not all of its levels."""
    plot.chance.choice(plot.said("level")).drop()


def repeat_unanswered(plot: Plot) -> None:
    """A repeat was decided, and its sender got no receipt."""
    jws = plot.decision(repeat=True).said["jws"]
    first = plot.chance.choice(plot.said("message", jws=jws, repeat=False, counted=True))
    plot.about("receipt", first).drop()


def _drop_all(plot: Plot, kind: str, entry: Said) -> None:
    for each in plot.said(kind, outbox=entry.said["outbox"]):
        each.drop()
