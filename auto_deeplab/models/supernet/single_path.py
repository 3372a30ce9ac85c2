"""One architecture computed with a supernet's weights: its path's nodes, one operation an edge.

It reads a few percent of the supernet's kernels and computes a few percent of its operations: what
one network does, and not a mixture's path with zeros in it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
import tf_keras

from auto_deeplab.models.pixel_grid import spatial_size
from auto_deeplab.models.supernet.fast import grouped
from auto_deeplab.models.supernet.node import Node
from auto_deeplab.models.supernet.path_kernels import KeptEdge, KernelPlaces, PathKernels
from auto_deeplab.models.supernet.path_parts import (
    KeptBranch,
    PathParts,
    computed_operation,
    normalized,
)
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.models.supernet.traced_path_parts import TracedPathParts
from auto_deeplab.search_space import STEM, Arc, Edge, Genotype, path_arcs_within
from auto_deeplab.search_space.relaxation import one_hot_operation_weights


class StemFeatures(NamedTuple):
    """What all architectures have in common.

    Attributes:
        images: float32 [batch, height, width, 3], normalized.
        features: The stem's, float [batch, padded height / 4, padded width / 4, channels].
        size: Padded height and width.
    """

    images: tf.Tensor
    features: tf.Tensor
    size: Sequence[int]


class Layer(NamedTuple):
    """A node on the path.

    Attributes:
        node: The node.
        source: The stride of the node before it.
        branches: The branches of its cell.
        kernels: Those that it reads.
    """

    node: Node
    source: int
    branches: Sequence[KeptBranch]
    kernels: PathKernels


class SinglePaths:
    """All architectures of a supernet's space, each computed with the weights that they share.

    An architecture is what the supernet computes where softmax(alpha) and softmax(beta) have become
    one-hot, with nothing left of the nodes off the path: neither their outputs nor their share in
    batch norm's statistics, which a node of the supernet takes over all its incoming arcs, nor
    their heads. Where the path had another stride two layers back, `prev_prev` is nothing: the
    supernet has learned to read it at the same stride alone. (The final network resizes it.)

    Everything is normalized with the statistics of the images that are given: moving ones are those
    of the mixture, and stay as they are.

    Args:
        supernet: With its weights.
        traced: Compute in graphs, which are built when they are first needed: for some seconds at
            the beginning each architecture takes a fraction of the time.
    """

    def __init__(self, supernet: Supernet, traced: bool = False):
        self._supernet = supernet
        self._parts = (TracedPathParts if traced else PathParts)(supernet)
        self._nodes: dict[tuple[int, int], tuple[Node, int, KernelPlaces]] = {}
        for stack in supernet.trellis.segments:
            for node in stack.nodes:
                places = KernelPlaces(node)
                for row, layer in enumerate(stack.layers_covered):
                    self._nodes[layer, node.stride] = node, row, places

    def stem(self, images: tf.Tensor) -> StemFeatures:
        """Evaluates the stem.

        Args:
            images: float32 [batch, height, width, 3], normalized.
        """
        padded = self._supernet.pad_to_grid(images)
        return StemFeatures(images, self._parts.stem(padded), spatial_size(padded))

    def path(self, genotype: Genotype) -> "SinglePath":
        """Returns one architecture.

        Raises:
            UserError: It is not in the supernet's space.
        """
        one_hot_operation_weights(genotype, self._supernet.cell_graph)  # Raises what it can.
        arcs = path_arcs_within(genotype, self._supernet.trellis_graph)
        # Nodes of layer 1 have no weights for what is before the stem.
        two_before = [None, STEM.stride, *genotype.network]
        layers = [
            self._layer(arc, before == arc.target, genotype)
            for arc, before in zip(arcs, two_before, strict=False)
        ]
        return SinglePath(self._supernet, self._parts, layers)

    def _layer(self, arc: Arc, has_prev_prev: bool, genotype: Genotype) -> Layer:
        node, row, places = self._nodes[arc.layer, arc.target]
        inputs = self._supernet.cell_graph.inputs(len(genotype.cell))
        branches, kept = [], []
        for block, pair in enumerate(genotype.cell, start=1):
            for branch in pair:
                is_nothing = branch.input == "prev_prev" and not has_prev_prev
                op = "none" if is_nothing else branch.op
                computed = computed_operation(op, self._supernet)
                branches.append(KeptBranch(inputs.index(branch.input), computed))
                kept.append(KeptEdge(Edge(block, branch.input), op))
        reads_prev_prev = any(edge.input == "prev_prev" and op != "none" for edge, op in kept)
        kernels = PathKernels(node.kernels, places, row, arc.source, reads_prev_prev, kept)
        return Layer(node, arc.source, branches, kernels)


class SinglePath:
    """One architecture; `SinglePaths.path` makes it.

    Args:
        supernet: With its weights.
        parts: Computes.
        layers: The nodes of its path.

    Attributes:
        layers: The nodes of its path.
        variables: What it has to learn beside the kernels of the layers: stem's and head's.
    """

    def __init__(self, supernet: Supernet, parts: PathParts, layers: Sequence[Layer]):
        self._supernet = supernet
        self._parts = parts
        self.layers = layers
        head = supernet.heads[str(layers[-1].node.stride)]
        trained: list[tf_keras.layers.Layer] = [*supernet.stem, head]
        self.variables = [variable for part in trained for variable in part.trainable_variables]

    def read(self) -> list[tf.Tensor]:
        """Returns the kernels of each layer, float32 [numbers]."""
        return [layer.kernels.read() for layer in self.layers]

    def logits(self, stem: StemFeatures, vectors: Sequence[tf.Tensor]) -> tf.Tensor:
        """Computes the logits.

        Args:
            stem: What `SinglePaths.stem` returned.
            vectors: What `read` returned.

        Returns:
            float32 [batch, height, width, classes], at the size of the images.
        """
        before, last = None, stem.features
        for layer, vector in zip(self.layers, vectors, strict=True):
            kernels = layer.kernels.unpack(tf.cast(vector, last.dtype))
            size = [-(-length // layer.node.stride) for length in stem.size]
            prev = normalized(layer.node.bring(last, layer.source, size, kernels.arc))
            prev_prev = tf.zeros_like(prev)
            if before is not None and kernels.prev_prev is not None:
                prev_prev = normalized(grouped.convolution(before, kernels.prev_prev))
            output = self._parts.cell(
                prev_prev, prev, layer.branches, kernels.branches, layer.kernels.branch_sizes
            )
            before, last = last, output
        logits = self._parts.head(self.layers[-1].node.stride, last, stem.size)
        return self._supernet.crop_like((logits, stem.images))


def single_path_logits(supernet: Supernet, images: tf.Tensor, genotype: Genotype) -> tf.Tensor:
    """Computes the logits of one architecture once; `SinglePaths` is for many.

    Args:
        supernet: With its weights.
        images: float32 [batch, height, width, 3], normalized.
        genotype: The architecture.

    Returns:
        float32 [batch, height, width, classes].

    Raises:
        UserError: The architecture is not in the supernet's space.
    """
    paths = SinglePaths(supernet)
    path = paths.path(genotype)
    return path.logits(paths.stem(images), path.read())
