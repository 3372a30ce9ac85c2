"""What each part of a search space's final networks costs, counted on networks that are built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tensorflow as tf
import tf_keras

from auto_deeplab.cost.kinds import Cost
from auto_deeplab.cost.parts import Part, parts_of
from auto_deeplab.cost.probes import probes
from auto_deeplab.search_space import CellGraph, Genotype, TrellisGraph
from auto_deeplab.search_space.mutation import require_in_space


@dataclass(frozen=True)
class CostTable:
    """The costs of the parts of a space's networks.

    Args:
        kind: What is counted.
        cell: The cells of the space.
        trellis: The paths of the space.
        parts: What each part costs, of all that networks of the space have.
    """

    kind: Cost
    cell: CellGraph
    trellis: TrellisGraph
    parts: Mapping[Part, int]

    def cost_of(self, genotype: Genotype) -> int:
        """Returns what a network costs: what `summary` counts of it, without building it.

        Raises:
            UserError: It is not in the space.
        """
        require_in_space(genotype, self.cell, self.trellis)
        return sum(self.parts[placed.part] for placed in parts_of(genotype))


def measure(
    kind: Cost,
    cell: CellGraph,
    trellis: TrellisGraph,
    build: Callable[[Genotype], tf_keras.Model],
) -> CostTable:
    """Builds a few networks and counts what their parts cost.

    It takes some seconds, and leaves nothing behind but what chance has drawn for initial values.

    Args:
        kind: What to count.
        cell: The cells of the space.
        trellis: The paths of the space.
        build: genotype -> final network.

    Raises:
        UserError: A cost of this kind is no sum over parts there, or a network cannot be built.
    """
    kind.check(trellis)
    parts: dict[Part, int] = {}
    # The weights are thrown away: they need not go to an accelerator.
    with tf.device("/CPU:0"):
        for probe in probes(cell, trellis):
            network = build(probe.genotype)
            found = {placed.part: placed.find(network) for placed in probe.parts}
            made = {part: layer for part, layer in found.items() if layer is not None}
            parts |= dict.fromkeys(found, 0)
            parts |= zip(made, kind.of_layers(network, list(made.values())), strict=True)
    return CostTable(kind, cell, trellis, parts)
