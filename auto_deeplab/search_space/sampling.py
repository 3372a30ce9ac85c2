"""Uniform draws from the search space: every path, and every cell, is as likely as any other.

`random` is a `random.Random`, so that a seed gives the same architectures on every machine. Its
integers have no largest value: the draw stays uniform however many paths there are.
"""

import random as random_module

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space.cell import CellGraph
from auto_deeplab.search_space.genotype import Branch, Genotype
from auto_deeplab.search_space.trellis import STEM, Node, TrellisGraph


def path_of_rank(trellis: TrellisGraph, rank: int) -> tuple[int, ...]:
    """Returns the path number `rank` (0 to `trellis.count_paths()` - 1) in the order of strides.

    Raises:
        UserError: There is no path of that number.
    """
    total = trellis.count_paths()
    if not 0 <= rank < total:
        raise UserError(f"rank: received {rank}; expected 0 to {total - 1}")
    path: list[int] = []
    node = STEM
    while len(path) < trellis.layers:
        for arc in trellis.outgoing(*node):
            node = Node(arc.layer, arc.target)
            ways = trellis.count_paths(node)
            if rank < ways:
                break
            rank -= ways
        path.append(node.stride)
    return tuple(path)


def sample_path(trellis: TrellisGraph, random: random_module.Random) -> tuple[int, ...]:
    """Returns one of the trellis's paths, each with the same probability."""
    return path_of_rank(trellis, random.randrange(trellis.count_paths()))


def sample_cell(cell: CellGraph, random: random_module.Random) -> tuple[tuple[Branch, Branch], ...]:
    """Returns one of the cells that decoding can return, each with the same probability.

    Each block has two different inputs, in their order, each with an operation other than `none`.
    """
    operations = cell.kept_operations
    blocks = []
    for block in range(1, cell.blocks + 1):
        inputs = cell.inputs(block)
        chosen = sorted(random.sample(range(len(inputs)), 2))
        left, right = (Branch(inputs[i], random.choice(operations)) for i in chosen)
        blocks.append((left, right))
    return tuple(blocks)


def sample_genotype(
    name: str, cell: CellGraph, trellis: TrellisGraph, random: random_module.Random
) -> Genotype:
    """Returns one of the architectures that a search can find, each with the same probability."""
    return Genotype(name, sample_path(trellis, random), sample_cell(cell, random))


def numbered_draw(
    name: str, cell: CellGraph, trellis: TrellisGraph, seed: int, number: int
) -> Genotype:
    """Returns draw `number` of a seed: draws can be repeated and gone on with one by one."""
    return sample_genotype(name, cell, trellis, random_module.Random(f"{seed} {number}"))
