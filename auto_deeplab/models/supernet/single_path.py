"""One architecture computed with a supernet's weights: its path's nodes, one operation an edge."""

import tensorflow as tf

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.resize import resize_bilinear
from auto_deeplab.models.supernet.fast.batch_norms import BatchNorms
from auto_deeplab.models.supernet.fast.kernels import unpack
from auto_deeplab.models.supernet.node import Node
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.search_space import STEM, Genotype, path_arcs
from auto_deeplab.search_space.relaxation import one_hot_operation_weights


def single_path_logits(supernet: Supernet, images: tf.Tensor, genotype: Genotype) -> tf.Tensor:
    """Computes the logits of one architecture with the weights that it shares with all others.

    It is what the supernet computes where softmax(alpha) and softmax(beta) have become one-hot,
    with nothing left of the nodes off the path: neither their outputs nor their share in batch
    norm's statistics, which a node of the supernet takes over all its incoming arcs, nor their
    heads. Where the path had another stride two layers back, `prev_prev` is nothing: the supernet
    has learned to read it at the same stride alone. (The final network resizes it.)

    Everything is normalized with the statistics of `images`: moving ones are those of the mixture.
    The batch norms of stem and head, which Keras keeps, move on as they do in training.

    Args:
        supernet: With its weights.
        images: float32 [batch, height, width, 3], normalized.
        genotype: The architecture.

    Returns:
        float32 [batch, height, width, classes].

    Raises:
        UserError: The architecture is not in the supernet's space.
    """
    operation_weights = tf.constant(
        one_hot_operation_weights(genotype, supernet.cell_graph), tf.float32
    )
    height, width = images.shape[1:3]
    features = images
    for block in supernet.stem:
        features = block(features, training=True)
    # What the path has computed, by layer and stride.
    outputs = {(0, STEM.stride): features}
    for arc, (node, index) in zip(
        path_arcs(genotype), _nodes_of_path(supernet, genotype), strict=True
    ):
        size = (-(-height // arc.target), -(-width // arc.target))
        outputs[arc.layer, arc.target] = _one_arc(
            node,
            index,
            arc.source,
            outputs[arc.layer - 1, arc.source],
            # Nodes of layer 1 have no weights for what is before the stem.
            outputs.get((arc.layer - 2, arc.target)),
            size,
            operation_weights,
        )
    last = genotype.network[-1]
    logits = supernet.heads[str(last)](outputs[len(genotype.network), last], training=True)
    return resize_bilinear(logits, (height, width))


def _nodes_of_path(supernet: Supernet, genotype: Genotype) -> list[tuple[Node, int]]:
    """Returns the node of each layer that the path comes through, and its index among its layers.

    Raises:
        UserError: The supernet has no such path.
    """
    graph = supernet.trellis_graph
    if len(genotype.network) != graph.layers or not set(path_arcs(genotype)) <= set(graph.arcs):
        raise UserError(
            f"genotype: received {genotype.name!r} with the path {list(genotype.network)}; "
            f"expected one of {graph.layers} layers with strides among {list(graph.strides)}"
        )
    nodes = []
    for layer, stride in enumerate(genotype.network, start=1):
        (stack,) = (each for each in supernet.trellis.segments if layer in each.layers_covered)
        (node,) = (each for each in stack.nodes if each.stride == stride)
        nodes.append((node, stack.layers_covered.index(layer)))
    return nodes


def _one_arc(
    node: Node,
    index: int,
    source: int,
    prev: tf.Tensor,
    prev_prev: tf.Tensor | None,
    size: tuple[int, int],
    operation_weights: tf.Tensor,
) -> tf.Tensor:
    """Evaluates a node for one of its incoming arcs alone."""
    kernels = unpack(node.kernel_shapes, node.kernels[index])
    batch_norms = BatchNorms(None, node.normalized_channels)
    prev = batch_norms(node.bring(prev, source, size, kernels[f"arc_from_{source}"]))
    if prev_prev is not None:
        prev_prev = batch_norms(node.bring(prev_prev, node.stride, size, kernels["prev_prev"]))
    output = node.cell(
        prev,
        prev_prev=prev_prev,
        arcs=1,
        operation_weights=operation_weights,
        kernels=kernels["cell"],
        batch_norms=batch_norms,
    )
    return tf.nn.relu(output)
