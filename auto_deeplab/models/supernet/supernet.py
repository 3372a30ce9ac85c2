"""The supernet: stem, trellis and heads, with the architecture weights alpha and beta."""

import itertools
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import tensorflow as tf
import tf_keras
from annotated_types import Ge, Le, Predicate, doc

from auto_deeplab.foundations.configurable import Decay, GraphName, configurable
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.grouped_softmax import grouped_softmax
from auto_deeplab.models.pixel_grid import CropLike, PadToGrid
from auto_deeplab.models.resize import resize_bilinear
from auto_deeplab.models.supernet.convolution_block import ConvolutionBlock
from auto_deeplab.models.supernet.heads import AtrousSpatialPyramid
from auto_deeplab.models.supernet.node import NOTHING_FROZEN, Frozen
from auto_deeplab.models.supernet.trellis import Trellis
from auto_deeplab.search_space import OPERATIONS, CellGraph, Relaxation, TrellisGraph
from auto_deeplab.search_space.cell import MOST_BLOCKS
from auto_deeplab.search_space.operations import Operation
from auto_deeplab.search_space.trellis import MOST_LAYERS

IMAGE_CHANNELS = 3
Recompute = Literal["none", "cell", "layer"]
# What an update of one level does not differentiate through: the other level.
FROZEN_NETWORK = Frozen(kernels=True)
FROZEN_ARCHITECTURE = Frozen(arc_weights=True, operation_weights=True)
ARCHITECTURE_WEIGHTS = {
    "initializer": {"class_name": "RandomNormal", "config": {"stddev": 1e-3}},
    "dtype": tf.float32,
    "experimental_autocast": False,
}


def _is_accepted(graph: Callable[..., Any], **arguments: Any) -> bool:
    try:
        graph(**arguments)
    except UserError:
        return False
    return True


Strides = Annotated[
    Sequence[int],
    Predicate(lambda strides: _is_accepted(TrellisGraph, strides=strides)),
    doc(
        "contiguous powers of two, ascending, of which the stem reaches at least one (2, 4 or 8), "
        "such as (4, 8, 16, 32)"
    ),
]
Operations = Annotated[
    Sequence[Operation],
    Predicate(lambda operations: _is_accepted(CellGraph, operations=operations)),
    doc(f"some of {OPERATIONS}, each once, in this order, and not 'none' alone"),
]


# What a search asks for; of a gin file it is Search's.
@configurable(denylist=["auxiliary_skip", "has_temperature"])
class Supernet(tf_keras.Model):
    """Every network of the search space at once (paper, section 4.1).

    Under a mixed precision policy alpha, beta, their softmaxes, the batch norms' statistics and the
    logits stay float32.

    Args:
        classes: Number of classes.
        layers: L, layers of the trellis.
        strides: The strides that nodes may have.
        blocks: B, blocks of a cell.
        filters: F; each block at stride s has F·s/4 channels.
        operations: What an edge may carry.
        batch_norm_momentum: How much of the moving statistics a training step keeps.
        recompute: What the backward pass evaluates again rather than keep: "none"; "cell", each
            node's cell, which leaves the nodes' outputs to keep; "layer", all nodes of a layer at
            once. docs/performance.md has the time and the memory of each.
        unroll: Evaluate identical layers one by one rather than as a loop. Building then grows
            with their number, and under XLA compiling grows several times faster.
        synchronized_batch_norm: Whether replicas share the statistics of the batch. By default each
            has its own: the paper's whole batch was 2. Replicas cannot meet in a loop, so sharing
            needs `unroll`.
        normalized_skip: Whether `skip` is followed by a batch norm without learned scale and
            offset, as the pools are, so that all operations are summed at one scale.
        auxiliary_skip: Add `auxiliary_skip` times its input to each mixed operation: DARTS- (Chu et
            al. 2020, https://arxiv.org/abs/2009.01027), where it falls to 0 over the search. While
            it is there, `skip` need not help the gradient through, and shows what it is worth. It
            is normalized where `skip` is.
        has_temperature: Divide alpha and beta by `temperature` before their softmaxes. As it falls,
            the mixture becomes the one architecture that is decoded.
        stem_filters: The channels of the stem's first convolution; the second has twice as many.
            Search with the stem that the found network is to have, see `build_network`.

    Attributes:
        alpha: float32 [edges, operations], logits of the operations of each edge.
        beta: float32 [arcs], logits of the arcs; a softmax over the arcs that leave one node.
        auxiliary_skip: float32 [], see above; None where there is none.
        temperature: float32 [], 1 until it is set; None where there is none.

    Example:
        >>> supernet = Supernet(classes=5, layers=2, strides=(4, 8), blocks=1, filters=4)
        >>> supernet(tf.zeros([1, 33, 49, 3])).shape
        TensorShape([1, 33, 49, 5])
        >>> supernet.alpha.shape, supernet.beta.shape
        (TensorShape([2, 8]), TensorShape([6]))
        >>> len(supernet.relaxation().decode("found").network)
        2
    """

    def __init__(
        self,
        classes: Annotated[int, Ge(1)],
        layers: Annotated[int, Ge(1), Le(MOST_LAYERS)] = 12,
        strides: Strides = (4, 8, 16, 32),
        blocks: Annotated[int, Ge(1), Le(MOST_BLOCKS)] = 5,
        filters: Annotated[int, Ge(1), Le(1024)] = 8,
        operations: Operations = OPERATIONS,
        batch_norm_momentum: Decay = 0.9,
        recompute: Recompute = "cell",
        unroll: bool = False,
        synchronized_batch_norm: bool = False,
        normalized_skip: bool = False,
        auxiliary_skip: bool = False,
        has_temperature: bool = False,
        stem_filters: Annotated[int, Ge(1), Le(512)] = 64,
        name: GraphName = "supernet",
    ):
        super().__init__(name=name)
        if synchronized_batch_norm and not unroll:
            raise UserError(
                "Supernet.synchronized_batch_norm: received True with Supernet.unroll = False, "
                "in whose loop replicas cannot meet; expected Supernet.unroll = True, too"
            )
        self.synchronized_batch_norm = synchronized_batch_norm
        self.normalized_skip = normalized_skip
        self.cell_graph = CellGraph(blocks, tuple(operations))
        self.trellis_graph = TrellisGraph(layers, tuple(strides))
        self.alpha = self.add_weight(
            "alpha",
            [len(self.cell_graph.edges), len(self.cell_graph.operations)],
            **ARCHITECTURE_WEIGHTS,
        )
        self.beta = self.add_weight(
            "beta",
            [len(self.trellis_graph.arcs)],
            **ARCHITECTURE_WEIGHTS,
        )
        self.auxiliary_skip = self.temperature = None
        if auxiliary_skip:
            self._check_skip()
            self.auxiliary_skip = self._add_scheduled("auxiliary_skip", "zeros")
        if has_temperature:
            self.temperature = self._add_scheduled("temperature", "ones")
        # Not named in a checkpoint: they hold no variables.
        self.pad_to_grid = PadToGrid(self.trellis_graph.strides[-1], dtype="float32")
        self.crop_like = CropLike(dtype="float32")
        stem_channels = stem_filters, 2 * stem_filters
        with tf.name_scope("stem"):
            self.stem = [
                ConvolutionBlock(
                    channels,
                    filters_,
                    3,
                    batch_norm_momentum,
                    stride=2,
                    synchronized_batch_norm=synchronized_batch_norm,
                    name=f"block{index}",
                )
                for index, (channels, filters_) in enumerate(
                    itertools.pairwise((IMAGE_CHANNELS, *stem_channels)), start=1
                )
            ]
        with tf.name_scope("trellis"):
            self.trellis = Trellis(
                self.trellis_graph,
                self.cell_graph,
                filters,
                stem_channels[-1],
                batch_norm_momentum,
                recompute,
                unroll,
                synchronized_batch_norm,
                normalized_skip,
            )
        self.heads = {
            str(node.stride): AtrousSpatialPyramid(
                node.stride,
                blocks * filters * node.stride // 4,
                classes,
                batch_norm_momentum,
                synchronized_batch_norm,
                name=f"head_stride{node.stride}",
            )
            for node in self.trellis_graph.nodes_of(layers)
        }

    @property
    def architecture_variables(self) -> list[tf.Variable]:
        """What the search learns: alpha and beta."""
        return [self.alpha, self.beta]

    @property
    def network_variables(self) -> list[tf.Variable]:
        """The trainable weights of the operations: all but alpha and beta."""
        architecture = {id(variable) for variable in self.architecture_variables}
        return [v for v in self.trainable_variables if id(v) not in architecture]

    def call(
        self,
        images: tf.Tensor,
        training: bool = False,
        frozen: Frozen = NOTHING_FROZEN,
        operation_weights: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Computes the logits.

        Args:
            images: float32 [batch, height, width, 3], normalized; any height and width.
            training: Normalize with the batch's statistics and update the moving ones.
            frozen: `FROZEN_NETWORK` or `FROZEN_ARCHITECTURE`: what not to differentiate through,
                which saves that part of the backward pass; by default nothing.
            operation_weights: What weighs the operations, float32 [edges, operations]; by default
                what `operation_weights` makes of alpha.

        Returns:
            float32 [batch, height, width, classes], at the size of the images.
        """
        alpha, beta = self.architecture_logits()
        if frozen.operation_weights:
            alpha = tf.stop_gradient(alpha)
        if frozen.arc_weights:
            beta = tf.stop_gradient(beta)
        if operation_weights is None:
            operation_weights = self.operation_weights(alpha)
        features = padded = self.pad_to_grid(images)
        size = padded.shape[1:3]
        size = np.array(size) if size.is_fully_defined() else tf.shape(padded)[1:3]
        for block in self.stem:
            features = block(features, training=training)
        outputs = self.trellis(
            features,
            image_size=size,
            operation_weights=operation_weights,
            arc_weights=self.arc_weights(beta),
            training=training,
            frozen=frozen,
        )
        logits = [
            self.heads[str(stride)](features, training=training)
            for stride, features in outputs.items()
        ]
        padded_logits = tf.add_n([resize_bilinear(of_stride, size) for of_stride in logits])
        return self.crop_like((padded_logits, images))

    def operation_weights(self, alpha: tf.Tensor) -> tf.Tensor:
        """Returns what weighs the operations, float32 [edges, operations]: softmax(alpha).

        An auxiliary skip adds to the weight of `skip`, beside the softmax.
        """
        weights = tf.nn.softmax(alpha)
        if self.auxiliary_skip is None:
            return weights
        is_skip = [float(operation == "skip") for operation in self.cell_graph.operations]
        return weights + self.auxiliary_skip * tf.constant(is_skip)

    def arc_weights(self, beta: tf.Tensor) -> tf.Tensor:
        """Returns the softmax of beta, float32 [arcs], over the arcs that leave each node."""
        arcs = self.trellis_graph.arcs
        return grouped_softmax(beta, [(arc.layer, arc.source) for arc in arcs])

    def architecture_logits(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns alpha and beta as their softmaxes take them: divided by the temperature."""
        alpha, beta = tf.identity(self.alpha), tf.identity(self.beta)
        if self.temperature is None:
            return alpha, beta
        return alpha / self.temperature, beta / self.temperature

    def relaxation(self) -> Relaxation:
        """Returns the current alpha and beta, by the temperature, and the space they live in."""
        alpha, beta = self.architecture_logits()
        return Relaxation(self.cell_graph, self.trellis_graph, alpha.numpy(), beta.numpy())

    def _check_skip(self) -> None:
        if "skip" not in self.cell_graph.operations:
            raise UserError(
                "Search.auxiliary_skip: received it with Supernet.operations = "
                f"{self.cell_graph.operations}; expected 'skip' among them, or 0.0"
            )

    def _add_scheduled(self, name: str, initializer: str) -> tf.Variable:
        """Adds a number that changes from step to step, and that checkpoints keep."""
        return self.add_weight(
            name,
            [],
            initializer=initializer,
            trainable=False,
            dtype=tf.float32,
            experimental_autocast=False,
        )
