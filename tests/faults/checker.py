"""The independent checker: reads what senders, topics and recipients saw, and tells what cannot be true of a right hub.

It imports nothing of the hub and nothing but the standard library, so that no fault of ours hides in it::

    python -m tests.faults.checker FOLDER [--json]      exit code 0: clean, 1: anomalies, 2: no history in this format

A **history** is a folder of JSON lines. ``senders*.jsonl``, ``topics*.jsonl`` and ``recipients*.jsonl`` may each be one
file or many (one per process); the order of lines counts within one reader and one recipient only. All digests are
base64url SHA-256 without padding, all times are milliseconds since 1970. Members that are not named here are ignored.

``senders.jsonl``, one line for each attempt to publish; a resend or repeat is an attempt of its own::

    {"event": "submit", "op": 17, "outcome": "ok" | "fail" | "info", "sender", "recipient", "id", "seq", "jws",
     "digest", "kind", "thread", "topic": "outbox.xa-moj", "partition": 0, "offset", "begun_ms", "ended_ms",
     "clock": {"id", "verb": "start" | "stop", "due_ms"} | null, "references": [{"id", "level"}], "expect"}

``ok``: the broker acknowledged it at ``offset``; ``fail``: it was surely not written; ``info``: nobody knows, so it may
be in the outbox once or not at all (``offset`` null). ``op`` is unique. ``id``, ``seq`` and ``jws`` (Digest of the
``comity-jws`` header's bytes) are null where a poisoned record has none, and ``digest`` is of the value (of the empty
string for none). ``kind`` is the message's type, ``receipt`` for receipt lists, whose ``references`` are what they say.
``clock`` is the one operation that the message carries, and it must be one that has its effect (a stop by who may);
``due_ms`` is null for a stop. ``expect`` is what the record was made for: ``accept``, ``refuse``, ``quarantine`` (a place
that cannot be read), ``repeat``, or null when both may be. Numbers of a pair begin with 1.

``topics.jsonl``, one line for each record that a reader read with ``read_committed``::

    {"reader": "final" | "live-<n>", "topic", "partition", "offset", "time_ms", "record", "kind", ...}

``record`` is a Digest over key, headers in their order and value, the same function for all topics: a copy has that of
its outbox record. The reader ``final`` reads outboxes, inboxes, ``hub.ledger`` and ``hub.quarantine`` wholly from 0
after the traffic ended. A live reader's name stands for one session: one that restarts elsewhere takes another name.
Of live lines only the members above count. More members by ``kind``:

==========  ===========================================================================================================
outbox      ``jws`` (null unless there is exactly one header), ``digest``
copy        ``id, sender, recipient, seq, jws, digest``
bundle      ``writer, n, claims``: those behind the chain claim, whose ``n`` it is
ledger      ``writer, n, entries``
quarantine  ``outbox, code``
==========  ===========================================================================================================

``outbox`` is ``{"topic", "offset"}``, where the outbox record lies that it is about. Claims::

    {"kind": "receipt", "id", "jws", "code", "counted", "outbox"}                       id of the receipt; code null: accepted
    {"kind": "routed", "jws", "outbox"}
    {"kind": "gap", "jws", "outbox", "code"}                                            jws: Digest of jws_text
    {"kind": "flag", "id", "flag", "percent", "thread", "clock", "due_ms", "message", "time_ms"}
    {"kind": "clk-ignored", ...}                                                        not judged

Entries::

    {"kind": "message", "id", "jws", "code", "counted", "repeat", "outbox"}             id of the message
    {"kind": "level", "level", "id", "outbox"}                                          outbox: of the receipt list
    {"kind": "flag", "id", "flag", "percent", "thread", "clock", "due_ms", "message", "time_ms"}
    {"kind": "ignored", ...}                                                            not judged

A bundle or ledger record of a ``watch-`` writer may come again with the same bytes: the watch sends until it is
acknowledged, and readers know the repeat by its number. The router's never come again.

``recipients.jsonl``, what a recipient took over from its inbox, in its order, once for each id::

    {"event": "deliver", "recipient", "sender", "id", "seq", "digest", "offset", "time_ms"}

``offset`` is the copy's in the inbox. An authority that has a line here is held to take over every copy in its inbox,
receipt lists aside.

``facts.json``::

    {"fault", "seed", "dose", "drained": true, "ended_ms", "held": {"outbox.xc-acc": 57}, "flags_until_ms": null}

``held`` (may be missing): outboxes that wait rightly, and from which offset on. ``flags_until_ms`` (may be missing or
null): flags that fell due by then, by the log's time, must be there; null when no watch ran. ``flag_grace_ms`` (may be
missing, 10,000): how much older than an overdue flag a stop in the ledger must be for the flag to be false, not late.
"""
