"""Multiply-adds and bytes, counted by hand."""

import tensorflow as tf

from benchmarks.measuring.graph_work import Work, works

IMAGES, KERNEL, DEPTHWISE = [2, 9, 7, 4], [3, 3, 4, 8], [5, 5, 8, 1]


def test_convolutions_and_their_gradients_inside_a_called_function():
    @tf.function(autograph=False, experimental_attributes={"_noinline": True})
    def inner(images, kernel, depthwise):
        with tf.GradientTape() as tape:
            tape.watch([images, kernel, depthwise])
            output = tf.nn.conv2d(images, kernel, 2, "SAME")
            output = tf.nn.depthwise_conv2d(output, depthwise, [1, 1, 1, 1], "SAME")
        return tape.gradient(output, [images, kernel, depthwise])

    @tf.function(autograph=False)
    def outer(images, kernel, depthwise):
        return inner(images, kernel, depthwise), images + 1.0

    graph = outer.get_concrete_function(
        *(tf.TensorSpec(shape) for shape in (IMAGES, KERNEL, DEPTHWISE))
    ).graph.as_graph_def(add_shapes=True)
    by_type = {}
    for (_, kind), work in works(graph).items():
        by_type.setdefault(kind, []).append(work)
    dense = 2 * 5 * 4 * 9 * 4 * 8
    depthwise = 2 * 5 * 4 * 25 * 8
    for kind in ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"):
        assert [work.multiply_adds for work in by_type[kind]] == [dense]
    for kind in ("", "BackpropInput", "BackpropFilter"):
        (work,) = by_type[f"DepthwiseConv2dNative{kind}"]
        assert work.multiply_adds == depthwise
    (work,) = by_type["Conv2D"]
    assert work.bytes == 4 * (2 * 9 * 7 * 4 + 3 * 3 * 4 * 8 + 2 * 5 * 4 * 8)
    (addition,) = by_type["AddV2"]
    assert addition == Work(0, 4 * (2 * 2 * 9 * 7 * 4 + 1))
