"""Mutations: the architectures that differ from one in a single choice.

The choices are those of the search space: what a branch reads, what it computes, and at what stride
a layer works. The mutations stay in the space: paths are connected, and the two branches of a block
read different states in their order and carry an operation, as what decoding returns.
"""

from collections.abc import Iterator

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space.cell import CellGraph
from auto_deeplab.search_space.genotype import Branch, Genotype
from auto_deeplab.search_space.trellis import STEM, TrellisGraph, is_step

Cell = tuple[tuple[Branch, Branch], ...]
Path = tuple[int, ...]


def require_in_space(genotype: Genotype, cell: CellGraph, trellis: TrellisGraph) -> None:
    """Raises a `UserError` if an architecture is not one of a search space.

    Args:
        genotype: The architecture.
        cell: The cells of the space.
        trellis: The paths of the space.
    """
    where = f"genotype {genotype.name!r}"
    for what, found, expected in (
        ("layers", len(genotype.network), trellis.layers),
        ("blocks", len(genotype.cell), cell.blocks),
    ):
        if found != expected:
            raise UserError(f"{where}: received {found} {what}; expected {expected}, as the space")
    for stride in genotype.network:
        if stride not in trellis.strides:
            raise UserError(
                f"{where}: received stride {stride}; expected one of {list(trellis.strides)}"
            )
    known = list(cell.kept_operations)
    for block in genotype.cell:
        for branch in block:
            if branch.op not in known:
                raise UserError(
                    f"{where}: received operation {branch.op!r}; expected one of {known}"
                )


def sorted_branches(cell: Cell) -> Cell:
    """Returns a cell whose blocks have their branches in order, which computes the same sums."""
    return tuple(
        _in_order(left, right, CellGraph(len(cell)).inputs(block))
        for block, (left, right) in enumerate(cell, start=1)
    )


def mutations(
    genotype: Genotype, cell: CellGraph, trellis: TrellisGraph
) -> list[tuple[Path, Cell]]:
    """Returns all mutations of an architecture, as (path, cell): paths first, then cells.

    Args:
        genotype: One of the space.
        cell: The cells of the space.
        trellis: The paths of the space.

    Raises:
        UserError: The architecture is not in the space.

    Example:
        >>> cell, trellis = CellGraph(1, ("skip", "sep_conv_3x3")), TrellisGraph(2, (4, 8))
        >>> block = Branch("prev_prev", "skip"), Branch("prev", "skip")
        >>> found = mutations(Genotype("two skips", (4, 8), (block,)), cell, trellis)
        >>> [path for path, _ in found]
        [(8, 8), (4, 4), (4, 8), (4, 8)]
        >>> [branch.op for branch in found[-1][1][0]]
        ['skip', 'sep_conv_3x3']
    """
    require_in_space(genotype, cell, trellis)
    paths = [(path, genotype.cell) for path in _other_strides(genotype.network, trellis)]
    cells = [*_other_inputs(genotype.cell, cell), *_other_operations(genotype.cell, cell)]
    return paths + [(genotype.network, found) for found in cells]


def _other_inputs(branches: Cell, cell: CellGraph) -> Iterator[Cell]:
    for block, (left, right) in enumerate(branches, start=1):
        inputs = cell.inputs(block)
        for changed, kept in ((left, right), (right, left)):
            for name in inputs:
                if name not in (changed.input, kept.input):
                    pair = _in_order(Branch(name, changed.op), kept, inputs)
                    yield _replaced(branches, block, pair)


def _other_operations(branches: Cell, cell: CellGraph) -> Iterator[Cell]:
    for block, (left, right) in enumerate(branches, start=1):
        for operation in cell.operations:
            if operation not in ("none", left.op):
                yield _replaced(branches, block, (Branch(left.input, operation), right))
            if operation not in ("none", right.op):
                yield _replaced(branches, block, (left, Branch(right.input, operation)))


def _other_strides(path: Path, trellis: TrellisGraph) -> Iterator[Path]:
    for layer, stride in enumerate(path):
        before = path[layer - 1] if layer else STEM.stride
        for other in trellis.strides:
            goes_on = layer + 1 == len(path) or is_step(other, path[layer + 1])
            if other != stride and is_step(before, other) and goes_on:
                yield (*path[:layer], other, *path[layer + 1 :])


def _replaced(branches: Cell, block: int, pair: tuple[Branch, Branch]) -> Cell:
    return (*branches[: block - 1], pair, *branches[block:])


def _in_order(one: Branch, other: Branch, inputs: tuple[str, ...]) -> tuple[Branch, Branch]:
    first, second = sorted((one, other), key=lambda branch: (inputs.index(branch.input), branch.op))
    return first, second
