"""The difference between a cluster and what it should be."""

from __future__ import annotations

from dataclasses import replace

from hub.adapters.kafka.plan import ClusterState, StoredRule, StoredTopic, denials, difference, stored_form
from hub.core.access import access_rules, topic_specs
from hub.core.ids import AuthorityId

XA, XB = AuthorityId("xa-moj"), AuthorityId("xb-pgo")
SPECS = topic_specs((XA,), shards=2, ledger_partitions=2, replication=1)
RULES = access_rules((XA,), shards=2)
STRANGER = StoredRule("User:mallory", "*", "READ", "ALLOW", "TOPIC", "inbox.", "PREFIXED")
TOPICS = {spec.name: StoredTopic(spec.name, spec.partitions, 1, {**spec.config, "x": "y"}) for spec in SPECS}
SAME = ClusterState(TOPICS, frozenset(map(stored_form, RULES)))


def test_empty_cluster():
    """Everything is missing from an empty cluster, and nothing else is planned."""
    plan = difference(ClusterState({}, frozenset()), SPECS, RULES, known=(XA,))
    assert (plan.create, len(plan.allow), plan.alter, plan.remove) == (SPECS, len(RULES), {}, ())
    assert len(plan.rows) == len(SPECS) + len(RULES)


def test_same_cluster():
    """A cluster that is as it should be gives an empty plan."""
    plan = difference(SAME, SPECS, RULES, known=(XA,))
    assert plan.empty
    assert plan.rows == ()


def test_setting_differs():
    """One changed setting is altered alone."""
    changed = replace(TOPICS["outbox.xa-moj"], config={**SPECS[4].config, "compression.type": "producer"})
    plan = difference(replace(SAME, topics={**TOPICS, "outbox.xa-moj": changed}), SPECS, RULES, known=(XA,))
    assert plan.alter == {"outbox.xa-moj": {"compression.type": "uncompressed"}}
    assert plan.rows[0]["detail"] == "compression.type: producer -> uncompressed"


def test_counts_are_for_a_person():
    """A wrong number of partitions or replicas is shown, not repaired."""
    wrong = replace(TOPICS["hub.ledger"], partitions=3)
    wanted = topic_specs((XA,), shards=2, ledger_partitions=2, replication=3)
    topics = {spec.name: replace(TOPICS[spec.name], config=spec.config) for spec in wanted}
    plan = difference(
        ClusterState({**topics, "hub.ledger": replace(wrong, config=wanted[0].config)}, SAME.rules),
        wanted,
        RULES,
        known=(XA,),
    )
    assert plan.empty
    assert {row["action"] for row in plan.rows} == {"look"}
    assert len(plan.rows) == 1 + len(wanted)


def test_surplus_of_a_known_principal():
    """A permission that the matrix does not give is taken from a known principal."""
    surplus = StoredRule("User:xa-moj", "*", "READ", "ALLOW", "TOPIC", "inbox.xb-pgo", "LITERAL")
    plan = difference(replace(SAME, rules=SAME.rules | {surplus}), SPECS, RULES, known=(XA,))
    assert plan.remove == (surplus,)


def test_revoked_authority_keeps_topics_only():
    """A revoked authority loses every permission."""
    both = frozenset(map(stored_form, access_rules((XA, XB), shards=2)))
    plan = difference(replace(SAME, rules=both), SPECS, RULES, known=(XA, XB))
    assert {rule.principal for rule in plan.remove} == {"User:xb-pgo"}
    assert len(plan.remove) == 4


def test_revoked_authority_is_denied():
    """The denials of a revoked authority belong to the plan: missing they are made, present they are no difference."""
    plan = difference(SAME, SPECS, RULES, known=(XA, XB), revoked=(XB,))
    assert frozenset(plan.allow) == denials(XB)
    assert {row["action"] for row in plan.rows} == {"deny"}
    after = replace(SAME, rules=SAME.rules | denials(XB))
    assert difference(after, SPECS, RULES, known=(XA, XB), revoked=(XB,)).rows == ()


def test_strangers_are_shown():
    """A stranger's permission on our names is shown and left; one elsewhere is none of our business."""
    elsewhere = StoredRule("User:mallory", "*", "READ", "ALLOW", "TOPIC", "payroll", "LITERAL")
    everything = StoredRule("User:mallory", "10.0.0.1", "ALL", "ALLOW", "TOPIC", "*", "LITERAL")
    rules = SAME.rules | {STRANGER, elsewhere, everything}
    plan = difference(replace(SAME, rules=rules), SPECS, RULES, known=(XA,))
    assert plan.empty
    assert sorted(row["resource"] for row in plan.rows) == [
        "ALLOW User:mallory ALL TOPIC * from 10.0.0.1",
        "ALLOW User:mallory READ TOPIC inbox.*",
    ]
