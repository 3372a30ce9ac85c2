"""The supernet as the paper writes it: the file to read first.

Auto-DeepLab (Liu et al. 2019, https://arxiv.org/abs/1901.02985) searches on two levels: what a cell
computes (section 3.1, `CellGraph`) and at which stride each layer works (section 3.2,
`TrellisGraph`). Section 4.1 relaxes both choices: all operations on all edges of the cell and all
arcs of the trellis are evaluated, and weighed by numbers that gradient descent can learn. Here are
its equations (1) to (8), in their order and symbols, then the network that they make up.

    H_j             a hidden state of a cell: feature maps
    O^k             the operations; alpha^k_{j->i} weighs O^k on the edge from H_j to block i
    sH^l            the output of the node at layer l and stride s
    beta^l_{s'->s}  weighs the arc from stride s' at layer l-1 to stride s at layer l
    B, F            blocks of a cell, and filters: a node at stride s has B·F·s/4 channels
    w               the weights of the operations: all that is learned besides alpha and beta

Training alternates between w and (alpha, beta): section 4.2, `training/search_model.py`. At the end
a cell and a path are read off alpha and beta: section 4.3, `search_space/decoding.py`.

Nothing here is made fast: it runs eagerly, in float64, one operation an edge. `Supernet` computes
the same in a fraction of the time; the tests compare the two.

Example:
    >>> cell_graph, trellis_graph = CellGraph(blocks=2), TrellisGraph(layers=2, strides=(4, 8))
    >>> alpha = 1e-3 * tf.random.normal([len(cell_graph.edges), len(cell_graph.operations)])
    >>> beta = 1e-3 * tf.random.normal([len(trellis_graph.arcs)])
    >>> images = tf.random.normal([1, 33, 33, 3])
    >>> supernet(images, alpha, beta, Weights(), cell_graph, trellis_graph, classes=5, F=4).shape
    TensorShape([1, 33, 33, 5])
"""

import dataclasses
import math

import tensorflow as tf

from auto_deeplab.search_space.cell import CellGraph, Edge, block_inputs
from auto_deeplab.search_space.trellis import STEM, Node, TrellisGraph

# Section 4.1.1, the cell. Hidden states are float64 [arcs, batch, height, width, channels]: a node
# evaluates its cell once for each incoming arc. `prev_prev`, the same for all of them, has 1.
# `alpha` is edge -> operation -> weight, as equation (3) makes it.


def block(i, H, alpha, w):
    """Equation (1): `H_i = sum over H_j in I_i of O_{j->i}(H_j)`.

    I_i holds the cell's two inputs and the blocks before block i. The node two layers back may not
    exist at this stride; then there is no `prev_prev`, and it contributes nothing.
    """
    return sum(mixed_operation(H[j], alpha[Edge(i, j)], w.of(j)) for j in block_inputs(i) if j in H)


def mixed_operation(H_j, alpha_ji, w):
    """Equation (2): `O_{j->i}(H_j) = sum over k of alpha^k_{j->i} O^k(H_j)`."""
    return sum(alpha_k * OPERATIONS[k](H_j, w.of(k)) for k, alpha_k in alpha_ji.items())


def operation_weights(alpha, cell_graph: CellGraph):
    """Equations (3) and (4): `sum over k of alpha^k_{j->i} = 1` and `alpha^k_{j->i} >= 0`.

    A softmax over the operations of each edge. All cells of the network share alpha.
    """
    rows = [tf.unstack(row) for row in tf.unstack(tf.nn.softmax(alpha))]
    alpha_ji = [dict(zip(cell_graph.operations, row, strict=True)) for row in rows]
    return dict(zip(cell_graph.edges, alpha_ji, strict=True))


def with_auxiliary_skip(alpha, b):
    """Adds `b·H_j` to each mixed operation, which is no part of the paper: see `Supernet`.

    That is b more for the weight of skip.
    """
    return {edge: alpha_ji | {"skip": alpha_ji["skip"] + b} for edge, alpha_ji in alpha.items()}


def with_normalized_skip(alpha):
    """Lets batch norm follow skip, as it follows the pools; no part of the paper."""
    return {
        edge: {"normalized_skip" if k == "skip" else k: alpha_k for k, alpha_k in alpha_ji.items()}
        for edge, alpha_ji in alpha.items()
    }


def cell(prev, prev_prev, alpha, w):
    """Equation (5): `H^l = Cell(H^{l-1}, H^{l-2}; alpha)`, which is the blocks side by side."""
    H = {"prev": prev} if prev_prev is None else {"prev": prev, "prev_prev": prev_prev}
    blocks = range(1, 1 + max(edge.block for edge in alpha))
    for i in blocks:
        H[f"block{i}"] = block(i, H, alpha, w.of(f"block{i}"))
    return tf.concat([H[f"block{i}"] for i in blocks], axis=-1)


# Section 4.1.2, the network. `H` is (layer, stride) -> output of the node, float64 [batch, height,
# width, B·F·s/4]. `beta` is arc -> weight, as equation (7) makes it.


def node(layer, s, H, alpha, beta, size, channels, w):
    """Equation (6): `sH^l = sum over s' of beta^l_{s'->s} Cell(s'H^{l-1}, sH^{l-2}; alpha)`.

    s' is s/2, s and 2s, as far as these exist. The cells of a node share their weights, and each of
    its batch norms takes all of them as one batch. `size` is the height and width at stride s, and
    `channels` is F·s/4: what the cell's inputs are brought to.
    """
    arcs = [arc for arc in beta if (arc.layer, arc.target) == (layer, s)]
    prev = tf.stack(
        [bring(H[layer - 1, arc.source], arc.source, s, size, channels, w) for arc in arcs]
    )
    prev_prev = H.get((layer - 2, s))
    if prev_prev is not None:
        prev_prev = conv_bn(tf.nn.relu(prev_prev), channels, 1, w.of("prev_prev"))[tf.newaxis]
    cells = tf.unstack(cell(prev, prev_prev, alpha, w))
    return sum(beta[arc] * cell_of_arc for arc, cell_of_arc in zip(arcs, cells, strict=True))


def bring(H, source, s, size, channels, w):
    """Brings s'H^{l-1} to stride s: a convolution of stride 2, or bilinear (section 5.1)."""
    H, w = tf.nn.relu(H), w.of(f"arc_from_{source}")
    if source < s:
        return conv_bn(H, channels, 3, w, stride=2)
    return conv_bn(resize(H, size) if source > s else H, channels, 1, w)


def arc_weights(beta, trellis_graph: TrellisGraph):
    """Equations (7) and (8): `beta^l_{s->s/2} + beta^l_{s->s} + beta^l_{s->2s} = 1`, each `>= 0`.

    A softmax over the arcs that leave a node (not over those that enter it).
    """
    e = dict(zip(trellis_graph.arcs, tf.unstack(tf.exp(beta)), strict=True))
    leaving = {arc: trellis_graph.outgoing(arc.layer - 1, arc.source) for arc in e}
    return {arc: e[arc] / sum(e[other] for other in leaving[arc]) for arc in e}


def supernet(
    images,
    alpha,
    beta,
    w,
    cell_graph,
    trellis_graph,
    classes,
    F=8,
    auxiliary_skip=None,
    temperature=None,
    normalized_skip=False,
    stem_filters=64,
):
    """Figure 1: the stem, the trellis, and the sum of a head at each stride of the last layer.

    Args:
        images: Float [batch, height, width, 3].
        alpha: Float [edges, operations], before the softmax.
        beta: Float [arcs], before the softmax.
        w: The `Weights` of the operations.
        cell_graph: The blocks, edges and operations of every cell.
        trellis_graph: The nodes and arcs of the network.
        classes: The number of classes.
        F: The filters.
        auxiliary_skip: See `with_auxiliary_skip`; None for the paper's supernet.
        temperature: Divides alpha and beta; None for the paper's supernet.
        normalized_skip: Whether batch norm follows skip; False for the paper's supernet.
        stem_filters: The channels of the stem's first convolution; 64 in the paper.

    Returns:
        The logits, float64 [batch, height, width, classes].
    """
    images, alpha, beta = (tf.cast(tensor, tf.float64) for tensor in (images, alpha, beta))
    if temperature is not None:
        alpha, beta = (logits / tf.cast(temperature, tf.float64) for logits in (alpha, beta))
    alpha, beta = operation_weights(alpha, cell_graph), arc_weights(beta, trellis_graph)
    if auxiliary_skip is not None:
        alpha = with_auxiliary_skip(alpha, tf.cast(auxiliary_skip, tf.float64))
    if normalized_skip:
        alpha = with_normalized_skip(alpha)
    image_height, image_width = images.shape[1:3]
    images = pad_to_grid(images, max(trellis_graph.strides))
    height, width = images.shape[1:3]
    stem = tf.nn.relu(conv_bn(images, stem_filters, 3, w.of("stem/block1"), stride=2))
    # Whatever reads a node or the stem begins with ReLU.
    H = {STEM: conv_bn(stem, 2 * stem_filters, 3, w.of("stem/block2"), stride=2)}
    for layer, s in trellis_graph.nodes:
        size = [math.ceil(height / s), math.ceil(width / s)]
        of_node = w.of(f"layer{layer}/stride{s}")
        H[Node(layer, s)] = node(layer, s, H, alpha, beta, size, F * s // 4, of_node)
    last = trellis_graph.nodes_of(trellis_graph.layers)
    logits = [head(H[l_s], l_s.stride, classes, w.of(f"head_stride{l_s.stride}")) for l_s in last]
    logits = sum(resize(of_stride, [height, width]) for of_stride in logits)
    return logits[:, :image_height, :image_width]


def head(H, s, classes, w):
    """An ASPP of three branches, one of them atrous at rate 96/s (sections 4.1.2 and 5.1)."""
    H, channels = tf.nn.relu(H), H.shape[-1]
    pooled = tf.reduce_mean(H, [1, 2], keepdims=True)
    branches = [
        conv_bn(H, channels, 1, w.of("pointwise")),
        conv_bn(H, channels, 3, w.of("atrous"), rate=max(1, 96 // s)),
        conv_bn(pooled, channels, 1, w.of("image_pooling")) + tf.zeros_like(H),
    ]
    kernel = w.of("classifier").kernel([1, 1, 3 * channels, classes])
    return convolution(tf.nn.relu(tf.concat(branches, -1)), kernel) + w.of("bias").kernel([classes])


# Section 3.1, the operations, and what they and the network are made of.


def pool(function, H, w):
    """A 3x3 pool of stride 1 and batch norm, so that all operations are summed at one scale."""
    return batch_norm(of_each_arc(function, H, 3, 1, "SAME"), w)


def separable_convolution(H, size, w):
    """Twice: ReLU, depthwise and 1x1 convolution, batch norm."""
    channels = H.shape[-1]
    for half in ("first", "second"):
        kernel = w.of(f"{half}/depthwise").kernel([size, size, channels, 1])
        H = of_each_arc(tf.nn.depthwise_conv2d, tf.nn.relu(H), kernel, [1, 1, 1, 1], "SAME")
        H = conv_bn(H, channels, 1, w.of(f"{half}/pointwise"))
    return H


OPERATIONS = {
    "none": lambda H, w: tf.zeros_like(H),
    "max_pool_3x3": lambda H, w: pool(tf.nn.max_pool2d, H, w),
    "avg_pool_3x3": lambda H, w: pool(tf.nn.avg_pool2d, H, w),
    "skip": lambda H, w: H,
    "normalized_skip": lambda H, w: batch_norm(H, w),
    "sep_conv_3x3": lambda H, w: separable_convolution(H, 3, w),
    "sep_conv_5x5": lambda H, w: separable_convolution(H, 5, w),
    "atrous_conv_3x3": lambda H, w: conv_bn(tf.nn.relu(H), H.shape[-1], 3, w, rate=2),
    "atrous_conv_5x5": lambda H, w: conv_bn(tf.nn.relu(H), H.shape[-1], 5, w, rate=2),
}


@dataclasses.dataclass
class Weights:
    """The weights w by name, such as layer1/stride4/block2/prev/atrous_conv_3x3.

    Args:
        kernels: Name -> float64 kernel. One that is missing is made when it is first needed.
        moving: Name -> (mean, variance), each float64 [channels]: what a batch norm keeps.
        training: Normalize with the batch's statistics, and move the kept ones towards them.
        momentum: How much of the kept statistics a training step keeps.
        name: The part of the network that these are the weights of; "" for all of it.
    """

    kernels: dict = dataclasses.field(default_factory=dict)
    moving: dict = dataclasses.field(default_factory=dict)
    training: bool = True
    momentum: float = 0.9
    name: str = ""

    def of(self, part):
        """Returns the weights of a part, which lie in the same dictionaries."""
        return dataclasses.replace(self, name=f"{self.name}/{part}".lstrip("/"))

    def kernel(self, shape):
        """Returns this part's kernel; a missing one is drawn (He et al. 2015), a bias is 0."""
        if self.name not in self.kernels:
            deviation = math.sqrt(2 / math.prod(shape[:-1])) if len(shape) > 1 else 0
            values = tf.random.normal(shape, stddev=deviation, dtype=tf.float64)
            self.kernels[self.name] = tf.Variable(values)
        return tf.convert_to_tensor(self.kernels[self.name])


def conv_bn(H, channels, size, w, **options):
    """Convolution without bias, batch norm."""
    return batch_norm(convolution(H, w.kernel([size, size, H.shape[-1], channels]), **options), w)


def convolution(H, kernel, stride=1, rate=1):
    """A SAME convolution of [..., height, width, channels]."""
    return tf.nn.convolution(H, kernel, strides=stride, padding="SAME", dilations=rate)


def batch_norm(H, w):
    """Batch norm without learned scale and offset, which could take alpha's role."""
    identity = tf.zeros(H.shape[-1], tf.float64), tf.ones(H.shape[-1], tf.float64)
    mean, variance = kept = w.moving.setdefault(w.name, identity)
    if w.training:
        mean, variance = tf.nn.moments(H, list(range(H.shape.rank - 1)))
        count = tf.cast(tf.size(H) / H.shape[-1], tf.float64)
        batch = mean, variance * count / tf.maximum(count - 1, 1)
        w.moving[w.name] = tuple(
            old * w.momentum + new * (1 - w.momentum) for old, new in zip(kept, batch, strict=True)
        )
    return (H - mean) / tf.sqrt(variance + 1e-3)


def of_each_arc(function, H, *arguments):
    """Applies a function of [batch, height, width, channels] to [arcs, batch, ...]."""
    maps = function(tf.reshape(H, [-1, *H.shape[2:]]), *arguments)
    return tf.reshape(maps, [*H.shape[:2], *maps.shape[1:]])


def pad_to_grid(images, s):
    """Fills images up at the bottom and the right, to k·s + 1 pixels.

    Then position i of every map stands at pixel i times its stride (DeepLab's code).
    """
    missing = [-(length - 1) % s for length in images.shape[1:3]]
    return tf.pad(images, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])


def resize(maps, size):
    """Bilinear, with aligned corners: the first and the last position stay where they are."""

    def shares(source, target):
        position = tf.range(target, dtype=tf.float64)[:, tf.newaxis]
        position *= (source - 1) / max(target - 1, 1)
        return tf.maximum(0, 1 - tf.abs(position - tf.range(source, dtype=tf.float64)))

    rows, columns = (shares(*pair) for pair in zip(maps.shape[1:3], size, strict=True))
    return tf.einsum("yh,xw,bhwc->byxc", rows, columns, maps)
