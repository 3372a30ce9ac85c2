"""The network's trellis: one node for each layer and stride, and the arcs that beta weighs."""

import reprlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from auto_deeplab.foundations.errors import UserError


class Node(NamedTuple):
    """A place for one cell: layers count from 1, a stride is input pixels an output pixel."""

    layer: int
    stride: int


class Arc(NamedTuple):
    """The way from node (`layer` - 1, `source` stride) into node (`layer`, `target` stride)."""

    layer: int
    source: int
    target: int


STEM = Node(layer=0, stride=4)
"""Where every path starts. It is no node of the trellis: it holds no cell."""
LARGEST_STRIDE = 256
"""At it, of an image of 2049 pixels 9 are left, and a cell is 64 times as wide as at the stem's."""
MOST_LAYERS = 100
"""The paper's networks have 12."""


def is_stride(value: object) -> bool:
    """Whether `value` is a power of two that a feature map's stride can be here."""
    return (
        isinstance(value, int)
        and not isinstance(value, bool)
        and 1 <= value <= LARGEST_STRIDE
        and value & (value - 1) == 0
    )


def is_step(source: int, target: int) -> bool:
    """Whether one layer can lead from stride `source` to stride `target`: half, same or double."""
    return target in (source, 2 * source) or source == 2 * target


@dataclass(frozen=True)
class TrellisGraph:
    """All the paths that a network may take (the paper's section 3.2 and figure 1).

    A node exists when a path from the stem (stride 4) reaches it; each layer halves, keeps or
    doubles the stride.

    Args:
        layers: How many layers follow the stem, 1 to `MOST_LAYERS`.
        strides: The strides that nodes may have: contiguous powers of two, ascending, to
            `LARGEST_STRIDE`, of which the stem reaches at least one (2, 4 or 8).

    Raises:
        UserError: An argument is not one of these.

    Example:
        >>> trellis = TrellisGraph(layers=12, strides=(4, 8, 16, 32))
        >>> trellis.nodes_of(1)
        (Node(layer=1, stride=4), Node(layer=1, stride=8))
        >>> trellis.outgoing(layer=1, stride=8)[0]
        Arc(layer=2, source=8, target=4)
        >>> len(trellis.nodes), len(trellis.arcs), trellis.count_paths()
        (45, 105, 75025)
    """

    layers: int = 12
    strides: tuple[int, ...] = (4, 8, 16, 32)

    def __post_init__(self) -> None:
        is_integer = isinstance(self.layers, int) and not isinstance(self.layers, bool)
        if not is_integer or not 1 <= self.layers <= MOST_LAYERS:
            raise UserError(
                f"TrellisGraph.layers: received {reprlib.repr(self.layers)}; expected an integer "
                f"from 1 to {MOST_LAYERS}"
            )
        try:
            object.__setattr__(self, "strides", tuple(self.strides))
        except TypeError:
            raise UserError(
                f"TrellisGraph.strides: received {reprlib.repr(self.strides)}; expected a list "
                "such as [4, 8, 16, 32]"
            ) from None
        contiguous = all(is_stride(stride) for stride in self.strides) and all(
            larger == 2 * smaller
            for smaller, larger in zip(self.strides, self.strides[1:], strict=False)
        )
        if not self.strides or not contiguous:
            raise UserError(
                f"TrellisGraph.strides: received {reprlib.repr(list(self.strides))}; expected "
                "contiguous powers of two, ascending, such as [4, 8, 16, 32], at most "
                f"{LARGEST_STRIDE}"
            )
        if not any(is_step(STEM.stride, stride) for stride in self.strides):
            raise UserError(
                f"TrellisGraph.strides: received {list(self.strides)}; the stem has stride "
                f"{STEM.stride}, so expected at least one of 2, 4, 8"
            )

    @cached_property
    def _strides_by_layer(self) -> tuple[tuple[int, ...], ...]:
        """The strides that exist at each layer, with the stem's at index 0."""
        reached: list[tuple[int, ...]] = [(STEM.stride,)]
        for _ in range(self.layers):
            reached.append(
                tuple(
                    target
                    for target in self.strides
                    if any(is_step(source, target) for source in reached[-1])
                )
            )
        return tuple(reached)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node, ordered by layer and then by stride; without the stem."""
        return tuple(
            Node(layer, stride)
            for layer in range(1, self.layers + 1)
            for stride in self._strides_by_layer[layer]
        )

    @cached_property
    def arcs(self) -> tuple[Arc, ...]:
        """Every arc, ordered by layer, target and then source: the entries of beta."""
        return tuple(
            Arc(node.layer, source, node.stride)
            for node in self.nodes
            for source in self._strides_by_layer[node.layer - 1]
            if is_step(source, node.stride)
        )

    @cached_property
    def _incoming(self) -> dict[Node, tuple[Arc, ...]]:
        arcs: dict[Node, tuple[Arc, ...]] = {node: () for node in (STEM, *self.nodes)}
        for arc in self.arcs:
            arcs[Node(arc.layer, arc.target)] += (arc,)
        return arcs

    @cached_property
    def _outgoing(self) -> dict[Node, tuple[Arc, ...]]:
        arcs: dict[Node, tuple[Arc, ...]] = {node: () for node in (STEM, *self.nodes)}
        for arc in self.arcs:
            arcs[Node(arc.layer - 1, arc.source)] += (arc,)
        return arcs

    def nodes_of(self, layer: int) -> tuple[Node, ...]:
        """Returns the nodes of layer `layer` (1 to `layers`), ordered by stride."""
        if not 1 <= layer <= self.layers:
            raise UserError(f"layer: received {layer}; expected 1 to {self.layers}")
        return tuple(Node(layer, stride) for stride in self._strides_by_layer[layer])

    def incoming(self, layer: int, stride: int) -> tuple[Arc, ...]:
        """Returns the arcs into node (`layer`, `stride`), ordered by source stride."""
        return self._of_node(self._incoming, layer, stride)

    def outgoing(self, layer: int, stride: int) -> tuple[Arc, ...]:
        """Returns the arcs that leave node (`layer`, `stride`), ordered by target stride.

        Layer 0 is the stem; the last layer's nodes have none.
        """
        return self._of_node(self._outgoing, layer, stride)

    def _of_node(
        self, arcs: dict[Node, tuple[Arc, ...]], layer: int, stride: int
    ) -> tuple[Arc, ...]:
        if (layer, stride) not in arcs:
            raise UserError(
                f"node: received layer {layer}, stride {stride}; expected a node of {self}"
            )
        return arcs[Node(layer, stride)]

    @cached_property
    def _ways(self) -> dict[Node, int]:
        """How many ways there are from each node to the last layer."""
        ways: dict[Node, int] = {}
        for node in reversed((STEM, *self.nodes)):
            targets = [Node(arc.layer, arc.target) for arc in self._outgoing[node]]
            ways[node] = sum(ways[target] for target in targets) if targets else 1
        return ways

    def count_paths(self, node: Node = STEM) -> int:
        """Returns the number of paths from a node to the last layer; from the stem, all there are.

        Raises:
            UserError: There is no such node.
        """
        if node not in self._ways:
            raise UserError(f"node: received {tuple(node)}; expected a node of {self}")
        return self._ways[node]
