"""Which of a node's kernels one architecture reads, and where they lie in the node's vector.

A node keeps the kernels of all its arcs, edges and operations in one vector a layer
(`fast/kernels.py`), those of all edges that leave a state side by side. One architecture reads one
arc and two edges a block, one operation on each: a few percent of the numbers.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from auto_deeplab.models.supernet.cell import edges_from
from auto_deeplab.models.supernet.fast.kernels import Kernel
from auto_deeplab.models.supernet.fast.mixed_operations import ATROUS_SIZES, SEPARABLE_SIZES
from auto_deeplab.models.supernet.node import Node
from auto_deeplab.search_space import Edge


class KeptEdge(NamedTuple):
    """An edge that a block keeps, with its operation."""

    edge: Edge
    op: str


class LayerKernels(NamedTuple):
    """The kernels that an architecture reads of a layer.

    Attributes:
        arc: That of the arc that the path takes.
        prev_prev: What brings the node two layers back to the cell's width; None if it is not read.
        branches: Those of the kept edges, float [numbers], one after the other.
    """

    arc: tf.Tensor
    prev_prev: tf.Tensor | None
    branches: tf.Tensor


class KernelPlaces:
    """Where the kernels lie that architectures read of a node.

    Args:
        node: The node.
    """

    def __init__(self, node: Node):
        self._filters = node.cell.filters
        self._graph = node.cell.graph
        sizes = [kernel.size for kernel in tf.nest.flatten(node.kernel_shapes)]
        starts = tf.nest.pack_sequence_as(node.kernel_shapes, np.cumsum([0, *sizes[:-1]]).tolist())
        # Plain dictionaries: those of a Keras layer are slow to read.
        self._whole = {
            name: (kernel, starts[name])
            for name, kernel in node.kernel_shapes.items()
            if isinstance(kernel, Kernel)
        }
        self._of_states = {
            (state, name): (kernel, starts["cell"][state][name])
            for state, kernels in node.cell.kernel_shapes.items()
            for name, kernel in kernels.items()
        }
        self._kept: dict[KeptEdge, np.ndarray] = {}

    def whole(self, name: str) -> tuple[tuple[int, ...], np.ndarray]:
        """Returns a kernel's shape and numbers: that of `arc_from_SOURCE` or of `prev_prev`."""
        kernel, start = self._whole[name]
        return kernel.shape, np.arange(start, start + kernel.size, dtype=np.int32)

    def kept(self, kept: KeptEdge) -> np.ndarray:
        """Returns the numbers of an edge's operation, in the order in which it applies them."""
        if kept not in self._kept:
            edge, op = kept
            row = self._graph.edges.index(edge)
            position = edges_from(self._graph, edge.input).index(row)
            parts = [
                _of_edge(name, *self._of_states[edge.input, name], position, self._filters)
                for name in _names(op)
            ]
            self._kept[kept] = np.concatenate([np.empty(0, np.int32), *parts])
        return self._kept[kept]


class PathKernels:
    """The kernels of one node at one layer that an architecture reads.

    Args:
        variable: The node's kernels, float32 [layers, numbers].
        places: Where they lie.
        row: The layer, as the node counts its layers.
        source: The stride of the node that the path comes from.
        reads_prev_prev: Whether an edge reads the node two layers back.
        branches: What each branch of the cell keeps.

    Attributes:
        variable: The node's kernels.
        places: The places of what is read, int32 [numbers read, 2].
        branch_sizes: How many numbers each branch has.
    """

    def __init__(
        self,
        variable: tf.Variable,
        places: KernelPlaces,
        row: int,
        source: int,
        reads_prev_prev: bool,
        branches: Sequence[KeptEdge],
    ):
        self.variable = variable
        whole = [f"arc_from_{source}"] + ["prev_prev"] * reads_prev_prev
        self._shapes, parts = map(list, zip(*map(places.whole, whole), strict=True))
        of_branches = [places.kept(kept) for kept in branches]
        self.branch_sizes = [len(numbers) for numbers in of_branches]
        numbers = np.concatenate([*parts, *of_branches])
        self.places = np.stack([np.full_like(numbers, row), numbers], axis=1)

    def read(self) -> tf.Tensor:
        """Returns the numbers, float32 [numbers read]."""
        return tf.gather_nd(self.variable, self.places)

    def unpack(self, vector: tf.Tensor) -> LayerKernels:
        """Returns the kernels.

        Args:
            vector: What `read` returned, of any dtype.
        """
        sizes = [math.prod(shape) for shape in self._shapes]
        *whole, branches = tf.split(vector, [*sizes, sum(self.branch_sizes)])
        arc, *prev_prev = (
            tf.reshape(part, shape) for part, shape in zip(whole, self._shapes, strict=True)
        )
        return LayerKernels(arc, prev_prev[0] if prev_prev else None, branches)


def _names(op: str) -> list[str]:
    """Returns what `MixedOperations` calls an operation's kernels, in the order of their use."""
    if op in SEPARABLE_SIZES:
        halves, kinds = ("first", "second"), ("depthwise", "pointwise")
        return [f"{op}_{half}_{kind}" for half in halves for kind in kinds]
    return [op] if op in ATROUS_SIZES else []


def _of_edge(name: str, kernel: Kernel, start: int, position: int, filters: int) -> np.ndarray:
    """Returns an edge's numbers of a kernel that holds those of several edges.

    Args:
        name: Of the kernel.
        kernel: [edges, in, out] if it is a pointwise one, else [height, width, edges * filters, 1]
            or [height, width, in, edges * filters].
        start: Where it begins.
        position: Of the edge among those of the kernel.
        filters: Of an edge.
    """
    if name.endswith("pointwise"):
        width, row_width = math.prod(kernel.shape[1:]), kernel.size
    else:
        width, row_width = filters, kernel.shape[2 if name.endswith("depthwise") else 3]
    rows = np.arange(kernel.size // row_width)[:, np.newaxis] * row_width
    columns = np.arange(position * width, (position + 1) * width)
    return (start + rows + columns).ravel().astype(np.int32)
