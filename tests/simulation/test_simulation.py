"""Whatever goes wrong on the way, a world ends in the truth, and soon; thousands of them, each from a seed.

`SIM_SEED=4711 pytest tests/simulation` lives through one world again, `SIM_SEEDS=100000` through more.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.simulation.encounters import DEADLY, POINTS
from tests.simulation.ground import Ground
from tests.simulation.run import live

SEEDS = int(os.environ.get("SIM_SEEDS", "2000"))
ALONE = os.environ.get("SIM_SEED")
PARTS = 8  # for as many processors


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    ground = Ground(tmp_path_factory.mktemp("simulation"))
    yield ground
    ground.close()


@pytest.mark.skipif(ALONE is not None, reason="one seed was asked for")
@pytest.mark.parametrize("part", range(PARTS))
def test_every_world_ends_in_the_truth(ground: Ground, part: int) -> None:
    """Nothing lost, nothing twice, nobody innocent put aside, nothing left to do.

    And its processes have ended at every point at which they may, so that no point proves nothing.
    """
    ended: Counter[str] = Counter()
    seeds = range(part, SEEDS, PARTS)
    for seed in seeds:
        ended += live(ground, seed).ends
    if len(seeds) >= 200:
        assert set(ended) == {*POINTS, DEADLY}


@pytest.mark.skipif(ALONE is None, reason="SIM_SEED names none")
def test_the_world_of_the_seed_that_was_named(ground: Ground) -> None:
    live(ground, int(ALONE or 0))


def test_the_same_seed_is_the_same_world_to_the_last_step(ground: Ground) -> None:
    """Else the seed that a failure prints would be of no use."""
    for seed in range(20):
        first, again = live(ground, seed), live(ground, seed)
        assert first.loop.now == again.loop.now
        assert list(first.loop.trace) == list(again.loop.trace)
