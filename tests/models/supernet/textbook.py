"""The supernet as the paper writes it, one operation an edge, in float64: the tests' oracle.

It reads the weights of a `Supernet` and shares no code with its computation. Nothing is grouped,
commuted, recomputed or looped: each arc of each node evaluates each operation of each edge.
"""

import tensorflow as tf

from auto_deeplab.models.supernet.fast.kernels import unpack

EPSILON = 1e-3


def convolve(images, kernel, stride=1, rate=1):
    """A SAME convolution; an atrous one tap by tap: float64 has no gradient for it."""
    if rate == 1:
        return tf.nn.conv2d(images, kernel, stride, "SAME")
    height, width = images.shape[1:3]
    reach = kernel.shape[0] // 2 * rate
    padded = tf.pad(images, [[0, 0], [reach, reach], [reach, reach], [0, 0]])
    return tf.add_n(
        [
            padded[:, row * rate :, column * rate :][:, :height, :width] @ kernel[row, column]
            for row in range(kernel.shape[0])
            for column in range(kernel.shape[1])
        ]
    )


def depthwise(images, kernel):
    return tf.nn.depthwise_conv2d(images, kernel, [1, 1, 1, 1], "SAME")


def resize(images, size):
    """Bilinear, half-pixel centers, written out: tf.image.resize has no float64."""
    for axis, target in ((1, size[0]), (2, size[1])):
        source = images.shape[axis]
        position = (tf.range(target, dtype=tf.float64) + 0.5) * source / target - 0.5
        low = tf.floor(position)
        share = tf.reshape(position - low, [-1, 1, 1] if axis == 1 else [-1, 1])
        low = tf.cast(low, tf.int32)
        below = tf.gather(images, tf.clip_by_value(low, 0, source - 1), axis=axis)
        above = tf.gather(images, tf.clip_by_value(low + 1, 0, source - 1), axis=axis)
        images = below * (1 - share) + above * share
    return images


class BatchNorm:
    """A node's batch norms at one layer; a batch norm is named by where its statistics lie."""

    def __init__(self, mean, variance, momentum, training):
        self.mean, self.variance, self.momentum = mean, variance, momentum
        self.training = training
        self.updated = {}  # (start, stop) in the node's vectors -> what training makes of them

    def __call__(self, variants, start):
        """Normalizes evaluations that share statistics: all of them are one batch."""
        place = slice(start, start + variants[0].shape[-1])
        mean, variance = self.mean[place], self.variance[place]
        images = tf.concat(variants, axis=0)
        if self.training:
            kept = self.momentum
            count = tf.cast(tf.size(images) / images.shape[-1], tf.float64)
            batch_mean, batch_variance = tf.nn.moments(images, [0, 1, 2])
            self.updated[place.start, place.stop] = (
                kept * mean + (1 - kept) * batch_mean,
                kept * variance + (1 - kept) * batch_variance * count / (count - 1),
            )
            mean, variance = batch_mean, batch_variance
        images = (images - mean) / tf.sqrt(variance + EPSILON)
        return tf.split(images, len(variants), axis=0)


def places_of_statistics(graph, filters, start, states):
    """(state, name of the batch norm) -> where its statistics start in the node's vectors."""
    places = {}
    for state in states:
        edges = sum(edge.input == state for edge in graph.edges)
        grouped = (edges * filters + 15) // 16 * 16
        norms = []
        for name in graph.operations:
            if name.startswith("sep_conv"):
                norms += [(f"{name}_first", grouped), (f"{name}_second", grouped)]
            elif name.startswith("atrous"):
                norms.append((name, grouped))
        norms += [(name, filters) for name in graph.operations if "pool" in name]
        for name, channels in norms:
            places[state, name] = start
            start += channels
    return places, start


def operation(name, variants, kernels, edge, filters, norm):
    """One operation on one edge, for all of the node's arcs; `norm(name, variants)`."""
    of_edge = slice(edge * filters, (edge + 1) * filters)
    if name == "none":
        return [tf.zeros_like(images) for images in variants]
    if name == "skip":
        return variants
    if name == "max_pool_3x3":
        return norm(name, [tf.nn.max_pool2d(images, 3, 1, "SAME") for images in variants])
    if name == "avg_pool_3x3":
        return norm(name, [tf.nn.avg_pool2d(images, 3, 1, "SAME") for images in variants])
    if name.startswith("atrous_conv"):
        kernel = kernels[name][..., of_edge]
        return norm(name, [convolve(tf.nn.relu(images), kernel, rate=2) for images in variants])
    for half in ("first", "second"):
        spatial = kernels[f"{name}_{half}_depthwise"][:, :, of_edge]
        pointwise = kernels[f"{name}_{half}_pointwise"][None, None, edge]
        variants = [
            convolve(depthwise(tf.nn.relu(images), spatial), pointwise) for images in variants
        ]
        variants = norm(f"{name}_{half}", variants)
    return variants


def evaluate_node(node, graph, before, prev_prev, size, kernels, alpha, arc_weights, batch_norm):
    """`sum over s' of beta · Cell(s'H^{l-1} brought to stride s, sH^{l-2}; alpha)`, then ReLU.

    What reads a node, or the stem, starts with ReLU; so both are kept after it.
    """
    filters = node.cell.filters
    states, start = {"prev": []}, 0
    for source in node.sources:
        images, kernel = before[source], kernels[f"arc_from_{source}"]
        if source > node.stride:
            images = resize(images, size)
        images = convolve(images, kernel, stride=2 if source < node.stride else 1)
        states["prev"] += batch_norm([images], start)
        start += filters
    arcs = len(states["prev"])
    if prev_prev is not None:
        images = convolve(prev_prev, kernels["prev_prev"])
        # The same for all arcs, so its edges are evaluated once.
        states["prev_prev"] = batch_norm([images], start)
        start += filters
    order = [
        state
        for state in ("prev_prev", "prev", *(f"block{i}" for i in range(1, graph.blocks)))
        if state != "prev_prev" or prev_prev is not None
    ]
    places, end = places_of_statistics(graph, filters, start, order)
    assert end == batch_norm.mean.shape[0]

    blocks = []
    for block in range(1, graph.blocks + 1):
        total = [tf.zeros_like(images) for images in states["prev"]]
        for row, edge in enumerate(graph.edges):
            if edge.block != block or edge.input not in states:
                continue
            leaving = [other for other in graph.edges if other.input == edge.input]
            index = leaving.index(edge)

            def norm(name, variants, state=edge.input, index=index):
                # The edges of a state share its pools, and so their batch norm.
                offset = 0 if "pool" in name else index * filters
                return batch_norm(variants, places[state, name] + offset)

            for weight, name in zip(tf.unstack(alpha[row]), graph.operations, strict=True):
                outputs = operation(
                    name, states[edge.input], kernels["cell"][edge.input], index, filters, norm
                )
                outputs = outputs * (arcs // len(outputs))
                total = [t + weight * output for t, output in zip(total, outputs, strict=True)]
        states[f"block{block}"] = total
        blocks.append(total)
    cells = [tf.concat(parts, axis=-1) for parts in zip(*blocks, strict=True)]
    total = tf.add_n([weight * cell for weight, cell in zip(arc_weights, cells, strict=True)])
    return tf.nn.relu(total)


def evaluate_block(block, images, training, stride=1, rate=1):
    """Convolution, batch norm and ReLU of the stem and the heads."""
    images = convolve(images, tf.cast(block.kernel, tf.float64), stride, rate)
    mean = tf.cast(block.batch_norm.moving_mean, tf.float64)
    variance = tf.cast(block.batch_norm.moving_variance, tf.float64)
    if training:
        mean, variance = tf.nn.moments(images, [0, 1, 2])
    return tf.nn.relu((images - mean) / tf.sqrt(variance + EPSILON))


def evaluate_head(head, stride, features, training):
    pooled = evaluate_block(head.pooling, tf.reduce_mean(features, [1, 2], keepdims=True), training)
    branches = [
        evaluate_block(head.pointwise, features, training),
        evaluate_block(head.atrous, features, training, rate=96 // stride),
        pooled + tf.zeros_like(features[..., :1]),
    ]
    kernel, bias = (tf.cast(v, tf.float64) for v in (head.classifier.kernel, head.classifier.bias))
    return convolve(tf.concat(branches, -1), kernel) + bias


def textbook_supernet(supernet, images, training):
    """Returns the logits, and (node, layer of its stack) -> its `BatchNorm`."""
    graph, trellis = supernet.cell_graph, supernet.trellis_graph
    images = tf.cast(images, tf.float64)
    size = images.shape[1:3]
    sizes = {s: [-(-size[0] // s), -(-size[1] // s)] for s in trellis.strides}
    alpha = tf.nn.softmax(tf.cast(supernet.alpha, tf.float64))
    beta = {arc: tf.cast(supernet.beta[i], tf.float64) for i, arc in enumerate(trellis.arcs)}
    arc_weights = {
        arc: tf.exp(value)
        / tf.add_n(
            [
                tf.exp(beta[other])
                for other in trellis.arcs
                if (other.layer, other.source) == (arc.layer, arc.source)
            ]
        )
        for arc, value in beta.items()
    }

    stem = images
    for block in supernet.stem:
        stem = evaluate_block(block, stem, training, stride=2)
    outputs, batch_norms = {(0, 4): stem}, {}
    for segment in supernet.trellis.segments:
        for position, layer in enumerate(segment.layers_covered):
            for node in segment.nodes:
                kernels = unpack(node.kernel_shapes, tf.cast(node.kernels[position], tf.float64))
                batch_norms[node, position] = BatchNorm(
                    tf.cast(node.moving_mean[position], tf.float64),
                    tf.cast(node.moving_variance[position], tf.float64),
                    supernet.trellis.batch_norm_momentum,
                    training,
                )
                outputs[layer, node.stride] = evaluate_node(
                    node,
                    graph,
                    {source: outputs[layer - 1, source] for source in node.sources},
                    outputs.get((layer - 2, node.stride)),
                    sizes[node.stride],
                    kernels,
                    alpha,
                    [arc_weights[arc] for arc in trellis.incoming(layer, node.stride)],
                    batch_norms[node, position],
                )
    logits = [
        resize(
            evaluate_head(
                supernet.heads[str(node.stride)],
                node.stride,
                outputs[trellis.layers, node.stride],
                training,
            ),
            size,
        )
        for node in trellis.nodes_of(trellis.layers)
    ]
    return tf.add_n(logits), batch_norms
