"""Tables of made-up costs, and alpha and beta that leave no doubt."""

import random

import numpy as np
import tensorflow as tf

from auto_deeplab.cost import CostTable, ExpectedCost, Parameters
from auto_deeplab.cost.parts import parts_of_space
from auto_deeplab.search_space import (
    CellGraph,
    Genotype,
    Relaxation,
    TrellisGraph,
    one_hot_operation_weights,
    path_arcs,
)

CERTAIN = 1000.0
"""What softmax makes 1, and 0 of the others."""


def made_up_table(cell: CellGraph, trellis: TrellisGraph, seed: int = 0) -> CostTable:
    """Returns a table in which each part of a space costs something else."""
    generator = random.Random(seed)
    parts = sorted(parts_of_space(cell, trellis), key=repr)
    return CostTable(
        Parameters(), cell, trellis, {part: generator.randrange(1, 10**9) for part in parts}
    )


def expected_cost(
    table: CostTable, relaxation: Relaxation, dtype: tf.DType = tf.float64
) -> tf.Tensor:
    """Returns the expected cost of alpha and beta, a scalar of `dtype`."""
    alpha, beta = (tf.constant(values, dtype) for values in (relaxation.alpha, relaxation.beta))
    return ExpectedCost(table)(alpha, beta)


def certain(genotype: Genotype, cell: CellGraph, trellis: TrellisGraph) -> Relaxation:
    """Returns alpha and beta that leave no doubt about an architecture."""
    alpha = CERTAIN * one_hot_operation_weights(genotype, cell)
    beta = np.zeros(len(trellis.arcs))
    beta[[trellis.arcs.index(arc) for arc in path_arcs(genotype)]] = CERTAIN
    return Relaxation(cell, trellis, alpha, beta)
