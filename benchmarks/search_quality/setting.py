"""What a tabular benchmark is made of: its search space, and which trainings fill it."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Le

from auto_deeplab.foundations.configurable import Count, Seed, configurable
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.supernet.supernet import Operations, Strides
from auto_deeplab.search_space import (
    OPERATIONS,
    CellGraph,
    Genotype,
    TrellisGraph,
    numbered_draw,
)
from auto_deeplab.search_space.cell import MOST_BLOCKS
from auto_deeplab.search_space.trellis import MOST_LAYERS


@dataclasses.dataclass(frozen=True)
class PlannedTraining:
    """One network to train.

    Args:
        genotype: Its architecture; its name is part of file names.
        seed: Of initial values, order and augmentation.
    """

    genotype: Genotype
    seed: int

    @property
    def key(self) -> str:
        """What names it among others."""
        return f"{self.genotype.name}-seed_{self.seed}"


@configurable
@dataclasses.dataclass(frozen=True)
class TabularBenchmark:
    """Random architectures of one search space, all trained alike, some of them several times.

    How they are trained is the business of `Retrain`, `build_network` and `training_batches`.

    Args:
        layers: L, layers of the trellis.
        strides: The strides of the trellis.
        blocks: B, blocks of a cell.
        operations: What an edge may carry.
        architectures: How many are drawn.
        repeated: How many of them, the first ones, are trained from several seeds.
        seeds: From how many, 0 among them; all others are trained from seed 0 alone.
        draw_seed: Of the draws.

    Raises:
        UserError: More are to be repeated than are drawn.
    """

    layers: Annotated[int, Ge(1), Le(MOST_LAYERS)] = 5
    strides: Strides = (4, 8, 16, 32)
    blocks: Annotated[int, Ge(1), Le(MOST_BLOCKS)] = 3
    operations: Operations = OPERATIONS
    architectures: Count = 100
    repeated: Count = 15
    seeds: Count = 3
    draw_seed: Seed = 0

    def __post_init__(self) -> None:
        if self.repeated > self.architectures:
            raise UserError(
                f"TabularBenchmark.repeated: received {self.repeated}; expected at most "
                f"TabularBenchmark.architectures, which is {self.architectures}"
            )

    @property
    def cell(self) -> CellGraph:
        """The cells that are drawn from."""
        return CellGraph(self.blocks, tuple(self.operations))

    @property
    def trellis(self) -> TrellisGraph:
        """The paths that are drawn from."""
        return TrellisGraph(self.layers, tuple(self.strides))

    def genotype(self, number: int) -> Genotype:
        """Returns draw `number`, from 1, each architecture as likely as any other.

        These are the draws of `random_search` without a band, from the same seed.
        """
        return numbered_draw(f"random_{number}", self.cell, self.trellis, self.draw_seed, number)

    def trainings(self) -> list[PlannedTraining]:
        """Returns all trainings: every architecture from seed 0 first, then the repetitions."""
        genotypes = [self.genotype(number) for number in range(1, self.architectures + 1)]
        return plan(genotypes, 1) + [
            training for training in plan(genotypes[: self.repeated], self.seeds) if training.seed
        ]


def plan(genotypes: Sequence[Genotype], seeds: int) -> list[PlannedTraining]:
    """Returns a training of each genotype from each seed, 0 to `seeds` - 1; seed 0 comes first."""
    return [PlannedTraining(genotype, seed) for seed in range(seeds) for genotype in genotypes]
