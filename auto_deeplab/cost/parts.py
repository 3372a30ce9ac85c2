"""The parts of a final network that have costs of their own, and what each cost depends on.

A final network (`models/final`) is a stem, a cell a layer, a pyramid and a decoder, and of a cell
what it makes of its two inputs and its ten operations. Each is a layer of Keras. What such a layer
costs depends on the genotype only through a few strides, which its part here names: parts that are
equal cost the same, in whatever network, layer or block they are. So the cost of a network is a sum
over its parts, and a few networks that are built tell all there are (`probes.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import tf_keras

from auto_deeplab.search_space import STATES, STEM, Arc, CellGraph, Genotype, TrellisGraph

STEM_HALF = 2
"""The stride of the output of the stem that the first cell has for `prev_prev`."""


@dataclass(frozen=True)
class Source:
    """What a cell reads: its channels depend on this alone.

    Args:
        stride: Its own; the stem's outputs have 2 and 4.
        of_stem: Whether it is one of these, and no cell's output.
    """

    stride: int
    of_stem: bool


@dataclass(frozen=True)
class Stem:
    """The convolutions before the first cell."""


@dataclass(frozen=True)
class Preparation:
    """What a cell makes of an input before its operations read it.

    Args:
        state: One of `STATES`: `prev` is always projected, `prev_prev` only where its channels
            differ from the cell's.
        source: What it is made of.
        map_stride: The stride of the map that the operations read.
        stride: The cell's.
    """

    state: str
    source: Source
    map_stride: int
    stride: int


@dataclass(frozen=True)
class Operation:
    """An operation of a cell.

    Args:
        op: Its name.
        stride: The cell's.
        reduces: Whether it halves the resolution: it then reads a map of half that stride.
    """

    op: str
    stride: int
    reduces: bool


@dataclass(frozen=True)
class Pyramid:
    """ASPP.

    Args:
        stride: Of the last layer.
    """

    stride: int


@dataclass(frozen=True)
class Decoder:
    """The decoder.

    Args:
        reads_stem: Whether the fine features that it reads are the stem's: the path leaves the
            stem's stride at once.
    """

    reads_stem: bool


Part = Stem | Preparation | Operation | Pyramid | Decoder


class PlacedPart(NamedTuple):
    """Where a network has a part.

    Attributes:
        part: The part.
        layer: The name of the layer of Keras that it is, or that it is in.
        place: Of a cell's operation (block, branch), both from 0; of what it makes of an input, the
            input; None for the whole layer.
    """

    part: Part
    layer: str
    place: tuple[int, int] | str | None = None

    def find(self, network: tf_keras.Model) -> tf_keras.layers.Layer | None:
        """Returns the layer of a final network; None where nothing is made of an input."""
        layer = network.get_layer(self.layer)
        if self.place is None:
            return layer
        if isinstance(self.place, str):
            return layer.projections.get(self.place)
        block, branch = self.place
        return layer.operations[block][branch]


def parts_of(genotype: Genotype) -> Iterator[PlacedPart]:
    """Yields all parts of the final network of a genotype, each as often as it is there."""
    yield PlacedPart(Stem(), "stem")
    read = {branch.input for block in genotype.cell for branch in block if branch.op != "none"}
    before = (STEM_HALF, STEM.stride)
    for layer, stride in enumerate(genotype.network, start=1):
        name = f"layer{layer}"
        for preparation in preparations(layer, *before, stride):
            if preparation.state in read:
                yield PlacedPart(preparation, name, preparation.state)
        for block, branches in enumerate(genotype.cell):
            for side, branch in enumerate(branches):
                operation = operation_of(branch.op, branch.input, before[1], stride)
                yield PlacedPart(operation, name, (block, side))
        before = (before[1], stride)
    yield PlacedPart(Pyramid(genotype.network[-1]), "aspp")
    yield PlacedPart(decoder_of(genotype.network[0]), "decoder")


def preparations(layer: int, prev_prev: int, prev: int, stride: int) -> list[Preparation]:
    """Returns what a cell makes of its inputs.

    Args:
        layer: The cell's, counted from 1: the first two read outputs of the stem.
        prev_prev: The stride two layers back.
        prev: The stride one layer back.
        stride: The cell's.
    """
    sources = Source(prev_prev, of_stem=layer <= 2), Source(prev, of_stem=layer <= 1)
    # A cell that goes up reads maps that are enlarged to its own stride.
    map_stride = min(prev, stride)
    return [
        Preparation(state, source, map_stride, stride)
        for state, source in zip(STATES, sources, strict=True)
    ]


def operation_of(op: str, read: str, prev: int, stride: int) -> Operation:
    """Returns an operation of a cell.

    Args:
        op: Its name.
        read: The input that it reads: one of `STATES`, or a block.
        prev: The stride one layer back.
        stride: The cell's.
    """
    return Operation(op, stride, reduces=read in STATES and stride > prev)


def decoder_of(first_stride: int) -> Decoder:
    """Returns the decoder of a network by the stride of its first layer."""
    return Decoder(reads_stem=first_stride != STEM.stride)


def parts_of_space(cell: CellGraph, trellis: TrellisGraph) -> set[Part]:
    """Returns the parts of all networks that a search can find.

    Args:
        cell: The cells that it searches.
        trellis: The paths that it searches.
    """
    parts: set[Part] = {Stem()}
    for prev_prev, arc in steps(trellis):
        parts.update(preparations(arc.layer, prev_prev, arc.source, arc.target))
    for arc in trellis.arcs:
        for op in cell.operations:
            if op != "none":
                parts |= {
                    operation_of(op, read, arc.source, arc.target)
                    for read in cell.inputs(cell.blocks)
                }
    parts |= {Pyramid(node.stride) for node in trellis.nodes_of(trellis.layers)}
    return parts | {decoder_of(node.stride) for node in trellis.nodes_of(1)}


def steps(trellis: TrellisGraph) -> Iterator[tuple[int, Arc]]:
    """Yields each arc with each stride that a path may have had two layers before its target."""
    for arc in trellis.arcs:
        if arc.layer == 1:
            yield STEM_HALF, arc
        else:
            for before in trellis.incoming(arc.layer - 1, arc.source):
                yield before.source, arc
