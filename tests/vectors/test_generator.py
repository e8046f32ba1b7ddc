"""The generator: its keys are new each time, its cases never."""

from __future__ import annotations

from schemas.generator.cases import VALID
from schemas.generator.chain_cases import chain_cases
from schemas.generator.envelope_cases import envelope_cases
from schemas.generator.opening_cases import opening_cases
from schemas.generator.receipt_cases import receipt_cases
from schemas.generator.trust_cases import trust_cases
from schemas.generator.world import make_world


def test_the_committed_cases_are_those_that_it_makes(own_vectors, tmp_path):
    """Names, comments and expectations of all committed files come from the generator as it stands."""
    world = make_world()
    made = {
        "chain": list(chain_cases()),
        "envelope": list(envelope_cases(world)),
        "opening": list(opening_cases(world)),
        "receipts": list(receipt_cases(world)),
        "trust": list(trust_cases(world)),
    }
    for area, cases in made.items():
        committed = {name: (case["expect"], case["comment"]) for name, case in own_vectors.cases(area).items()}
        assert {case.name: (case.expect, case.comment) for case in cases} == committed
        assert len({case.name for case in cases}) == len(cases)
        assert all(bool(case.result) <= (case.expect == VALID) for case in cases)
    made["chain"][0].write("chain", tmp_path)
    assert (tmp_path / "chain" / "valid-first.json").read_text() == (
        own_vectors.folder / "chain" / "valid-first.json"
    ).read_text()
