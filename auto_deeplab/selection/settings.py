"""How candidates are drawn and compared."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Le

from auto_deeplab.foundations.configurable import Count, Seed, Share, configurable
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.supernet.supernet import Operations, Strides
from auto_deeplab.search_space import CellGraph, Genotype, TrellisGraph, searched_relaxation
from auto_deeplab.search_space.cell import MOST_BLOCKS
from auto_deeplab.search_space.trellis import MOST_LAYERS


@configurable
@dataclasses.dataclass(frozen=True)
class Selection:
    """Successive halving over brackets of candidates.

    What is None of the search space is as in the first of the given architectures that tells the
    space in which it was searched, and else as in the paper.

    Args:
        eta: One in so many of a rung's candidates goes on to the next, whose trainings are so many
            times as long.
        rungs: How many lengths of training there are; the last is `Retrain.steps`.
        bracket: How many candidates begin together, if the budget suffices for all that comes of
            them.
        random_share: The share of a bracket that is drawn at random, at least; 1 for random search.
        surrogate_draws: The surrogate chooses each of the others among so many random draws and all
            mutations of `parents`. Of many it would choose extremes, where it errs the most.
        parents: How many candidates' mutations these are, the best ones'.
        shared_weights_draws: How many random draws a supernet measures with its shared weights,
            where one is given.
        shared_weights_taken: How many of these take part, those that it puts first.
        shared_weights_images: On how many validation images; None for all.
        first_draw: The number of the first random draw, from 1, among those of the seed, which are
            the draws of `random_search`.
        seed: Of draws. That of the trainings is `Retrain.seed`.
        layers: L, layers of the trellis.
        strides: The strides of the trellis.
        blocks: B, blocks of a cell.
        operations: What an edge may carry.
    """

    eta: Annotated[int, Ge(2), Le(100)] = 3
    rungs: Annotated[int, Ge(1), Le(10)] = 3
    bracket: Annotated[int, Ge(1), Le(10_000)] = 9
    random_share: Share = 0.5
    surrogate_draws: Count = 50
    parents: Count = 3
    shared_weights_draws: Count = 300
    shared_weights_taken: Count = 9
    shared_weights_images: Count | None = 100
    first_draw: Count = 1
    seed: Seed = 0
    layers: Annotated[int, Ge(1), Le(MOST_LAYERS)] | None = None
    strides: Strides | None = None
    blocks: Annotated[int, Ge(1), Le(MOST_BLOCKS)] | None = None
    operations: Operations | None = None

    def rung_steps(self, steps: int) -> tuple[int, ...]:
        """Returns the length of each rung's trainings, the last of which is `steps`.

        Raises:
            UserError: There are too few steps to tell the rungs apart.
        """
        lengths = tuple(
            round(steps / self.eta ** (self.rungs - 1 - rung)) for rung in range(self.rungs)
        )
        if lengths[0] < 1 or len(set(lengths)) < len(lengths):
            raise UserError(
                f"Selection.rungs: received {self.rungs} with Selection.eta = {self.eta} and "
                f"Retrain.steps = {steps}, which makes rungs of {', '.join(map(str, lengths))} "
                "steps; expected fewer rungs, or more steps"
            )
        return lengths

    def space(self, given: Sequence[Genotype]) -> tuple[CellGraph, TrellisGraph]:
        """Returns the search space.

        Args:
            given: The architectures that take part anyway.

        Raises:
            UserError: A value makes no space, or the provenance of one is wrong.
        """
        relaxations = map(searched_relaxation, given)
        known = next((each for each in relaxations if each is not None), None)
        cell = known.cell if known else CellGraph()
        trellis = known.trellis if known else TrellisGraph()
        return (
            CellGraph(self.blocks or cell.blocks, tuple(self.operations or cell.operations)),
            TrellisGraph(self.layers or trellis.layers, tuple(self.strides or trellis.strides)),
        )
