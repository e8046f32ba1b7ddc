"""The hub's core under chance: whoever dies, sleeps or repeats itself, the log tells one story."""

from __future__ import annotations

import pytest

from tests.sim.simulation import Bugs, Simulation
from tests.sim.world import World, make_world

SEEDS = 2_000
CHUNKS = 8
FEW_SEEDS = 40
PLANTED_SEEDS = 200


@pytest.fixture(scope="module")
def world() -> World:
    """Everything is signed once."""
    return make_world()


def _found(world: World, seeds: range, bugs: Bugs | None = None) -> dict[int, list[str]]:
    outcomes = (Simulation(world, seed, bugs).run() for seed in seeds)
    return {each.seed: each.anomalies for each in outcomes if each.anomalies}


def test_few_seeds_tell_one_story(world: World) -> None:
    """Nothing is lost, doubled or out of order, each flag comes once, and the view is what a plain fold gives."""
    assert _found(world, range(FEW_SEEDS)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_two_thousand_seeds_tell_one_story(world: World, chunk: int) -> None:
    """As above; ``python -m tests.sim run --from SEED --seeds 1 --trace`` plays one again."""
    size = SEEDS // CHUNKS
    assert _found(world, range(chunk * size, (chunk + 1) * size)) == {}


@pytest.mark.parametrize("bugs", [Bugs(forgets=True), Bugs(fences=False)], ids=["forgets", "no fences"])
def test_planted_bug_is_found(world: World, bugs: Bugs) -> None:
    """An owner that starts from nothing, a broker that refuses no old owner: both show within few seeds."""
    assert any(Simulation(world, seed, bugs).run().anomalies for seed in range(PLANTED_SEEDS))


def test_seed_tells_the_whole_run(world: World) -> None:
    """The same seed gives the same trace, act by act; another seed another one."""
    first, again, other = (Simulation(world, seed).run() for seed in (7, 7, 8))
    assert first.trace == again.trace
    assert first.trace != other.trace
    assert first.crashes > 0
