"""The gateway's compiled statements do what SQLAlchemy's own would."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import bindparam, select, update

from connectors.gateway.statements import Change, Query, addition, insertion, one_of, replacement
from connectors.gateway.store import Store, open_store
from connectors.gateway.tables import BUNDLES, EVIDENCE
from hub.adapters.clock import SystemChance
from hub.core.ids import AuthorityId
from hub.errors import Unreachable

ADD = Change(addition(EVIDENCE))
BY_ID = Query(select(EVIDENCE).where(one_of(EVIDENCE.c.id, "ids")).order_by(EVIDENCE.c.id))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new database."""
    opened = open_store(tmp_path / "x.db", authority=AuthorityId("xa-moj"), key=bytes(32), chance=SystemChance())
    yield opened
    opened.close()


def proof(number: int, kind: str = "manifest") -> dict[str, object]:
    """A row of evidence."""
    return {"id": f"{number:04d}", "kind": kind, "bytes": b"\x00\xff"}


def test_rows_have_their_columns_names(store):
    """A row is a tuple with names, bytes stay bytes."""
    with store.transaction() as connection:
        ADD.run_all(connection, [proof(1)])
        (row,) = BY_ID.rows(connection, ids=["0001"])
    assert (row.id, row.kind, row.bytes) == ("0001", "manifest", b"\x00\xff")


@pytest.mark.parametrize("count", [0, 1, 2000])
def test_any_number_of_values_is_asked_for(store, count):
    """None, one, and more than SQLite takes parameters for one statement by default."""
    with store.transaction() as connection:
        ADD.run_all(connection, [proof(number) for number in range(count)])
        found = BY_ID.rows(connection, ids=(f"{number:04d}" for number in range(count)))
        assert len(found) == count
        assert (BY_ID.row(connection, ids=["none"])) is None


def test_an_addition_keeps_what_is_there_and_a_replacement_does_not(store):
    """The first row counts, or the last."""
    with store.transaction() as connection:
        ADD.run_all(connection, [proof(1), proof(1, "other")])
        assert BY_ID.row(connection, ids=["0001"]).kind == "manifest"
        Change(replacement(EVIDENCE, "id")).run_all(connection, [proof(1, "other")])
        assert BY_ID.row(connection, ids=["0001"]).kind == "other"


def test_an_addition_is_held_to_every_other_rule(store):
    """Only a key that is taken is passed over: a missing value is an error."""
    with pytest.raises(Unreachable, match="IntegrityError"), store.transaction() as connection:
        ADD.run_all(connection, [{**proof(1), "kind": None}])


def test_values_of_the_statement_itself_are_kept(store):
    """A literal needs no value at run time; how many rows changed is told."""
    change = Change(
        update(BUNDLES).where(BUNDLES.c.writer == "watch-0", BUNDLES.c.n > bindparam("after")).values(digest="d")
    )
    with store.transaction() as connection:
        rows = [{"writer": "watch-0", "n": number, "digest": "a"} for number in (1, 2, 3)]
        Change(insertion(BUNDLES)).run_all(connection, rows)
        assert change.run(connection, after=1) == 2


def test_an_error_of_the_driver_undoes_the_transaction(store):
    """As SQLAlchemy's errors it is one of ours, and nothing of the transaction stays."""

    def doubled() -> None:
        with store.transaction() as connection:
            ADD.run_all(connection, [proof(1)])
            Change(insertion(EVIDENCE)).run_all(connection, [proof(1)])

    with pytest.raises(Unreachable) as raised:
        doubled()
    assert isinstance(raised.value.__cause__, sqlite3.Error)
    with store.transaction() as connection:
        assert BY_ID.rows(connection, ids=["0001"]) == []
