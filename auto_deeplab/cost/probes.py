"""Networks that together have every part of every network of a search space.

There are billions of networks, but only about a hundred parts (`parts.py`). Half a dozen networks
have all of them: paths that go through every change of strides, with cells that compute next to
nothing, and a network whose cell has every operation.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from auto_deeplab.cost.parts import (
    STEM_HALF,
    Operation,
    Part,
    PlacedPart,
    Preparation,
    Pyramid,
    parts_of,
    parts_of_space,
    preparations,
)
from auto_deeplab.search_space import STEM, Branch, CellGraph, Genotype, TrellisGraph
from auto_deeplab.search_space.trellis import MOST_LAYERS, is_step

Path = tuple[int, ...]


class Probe(NamedTuple):
    """A network to build, and what to look at.

    Attributes:
        genotype: The network's.
        parts: Parts that cost there what they cost in the networks of the space, each once.
    """

    genotype: Genotype
    parts: list[PlacedPart]


def probes(cell: CellGraph, trellis: TrellisGraph) -> list[Probe]:
    """Returns networks that together have all parts of a space, each in one of them.

    Args:
        cell: The cells of the space.
        trellis: The paths of the space.
    """
    missing = parts_of_space(cell, trellis)
    operations: set[Part] = {part for part in missing if isinstance(part, Operation)}
    of_strides = _cell_of_inputs(cell.blocks)
    genotypes = [
        (Genotype("strides", path, of_strides), missing - operations)
        for path in _covering_paths(missing - operations, trellis)
    ]
    # This one has more blocks than the space's cells: only its operations cost what they do there.
    path, of_operations = _path_of_operations(trellis), _cell_of_operations(cell)
    genotypes.append((Genotype("operations", path, of_operations), operations))
    found = []
    for genotype, sought in genotypes:
        placed = {each.part: each for each in parts_of(genotype) if each.part in sought & missing}
        found.append(Probe(genotype, list(placed.values())))
        missing -= placed.keys()
    return found


def _cell_of_inputs(blocks: int) -> tuple[tuple[Branch, Branch], ...]:
    """Returns a cell that reads both of its inputs, and whose operations have no weights."""
    first = Branch("prev_prev", "max_pool_3x3"), Branch("prev", "max_pool_3x3")
    same = Branch("block1", "skip"), Branch("block1", "skip")
    return (first,) + (same,) * (blocks - 1)


def _cell_of_operations(cell: CellGraph) -> tuple[tuple[Branch, Branch], ...]:
    """Returns a cell in which each operation reads an input, and a block."""
    return (
        (Branch("prev_prev", "max_pool_3x3"), Branch("prev", "max_pool_3x3")),
        *(
            (Branch("prev", operation), Branch("block1", operation))
            for operation in cell.operations
            if operation != "none"
        ),
    )


def _path_of_operations(trellis: TrellisGraph) -> Path:
    """Returns a path that goes up to the finest stride, and down to the coarsest one."""
    strides = sorted({node.stride for node in trellis.nodes})
    up = [stride for stride in reversed(strides) if stride < STEM.stride]
    down = [stride for stride in strides if not up or stride > up[-1]]
    return (*up, *down)


def _covering_paths(needed: set[Part], trellis: TrellisGraph) -> Iterator[Path]:
    """Yields paths that together have all parts but the operations.

    Each goes from one part that is missing to the next one, by the shortest way, and ends at a
    stride where no other ends.
    """
    strides = sorted({node.stride for node in trellis.nodes})
    missing = set(needed)

    def has_missing_preparation(path: Path) -> bool:
        return any(part in missing for part in _last_preparations(path))

    def ends_anew(path: Path) -> bool:
        return Pyramid(path[-1]) in missing

    while missing:
        path: Path = ()
        while longer := _extension(path, strides, has_missing_preparation):
            path = longer
            missing -= set(_last_preparations(path))
        if not path or not ends_anew(path):
            path = _extension(path, strides, ends_anew) or path
        missing -= {placed.part for placed in parts_of(Genotype("path", path, _cell_of_inputs(1)))}
        yield path


def _last_preparations(path: Path) -> list[Preparation]:
    """Returns what the last cell of a path makes of its inputs."""
    return preparations(len(path), *(STEM_HALF, STEM.stride, *path)[-3:])


def _extension(path: Path, strides: list[int], is_wanted: Callable[[Path], bool]) -> Path | None:
    """Returns the shortest path that goes on from one and is wanted; None where there is none.

    Args:
        path: From the stem on.
        strides: What a path may go through.
        is_wanted: Depends on the last two strides and whether there are more than two.
    """
    waiting, seen = deque([path]), set()
    while waiting:
        begun = waiting.popleft()
        for stride in strides:
            if len(begun) < MOST_LAYERS and is_step((STEM.stride, *begun)[-1], stride):
                longer = (*begun, stride)
                if is_wanted(longer):
                    return longer
                state = longer if len(longer) < 3 else longer[-2:]
                if (len(longer) > 2, state) not in seen:
                    seen.add((len(longer) > 2, state))
                    waiting.append(longer)
    return None
