"""Why the paper's multiply-adds are 4 to 5% higher than those of the convolutions alone.

The paper counted with TensorFlow 1's profiler, whose rules TensorFlow still has. docs/networks.md
tells the story with the numbers of this test.
"""

import pytest
import tensorflow as tf

from auto_deeplab.models.counting import count_multiply_adds
from auto_deeplab.models.final.network import build_network
from auto_deeplab.search_space import Genotype

IMAGE_SIZE = (1025, 2049)
# The paper's training crop of 769, at the published network's final stride of 8.
POOLING_WINDOW = (769 - 1) // 8 + 1


def profiled_multiply_adds(function, *shapes):
    """Half of the profiler's floating-point operations: a multiply-add is two."""
    graph = (
        tf.function(function)
        .get_concrete_function(*(tf.TensorSpec(shape, tf.float32) for shape in shapes))
        .graph
    )
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops / 2


def sliding_image_pooling(features, kernel):
    """ASPP's image pooling as the authors' code evaluates it.

    A window as large as a training crop's features slides over larger images, and each average
    passes the 1x1 convolution.
    """
    pooled = tf.nn.avg_pool2d(features, POOLING_WINDOW, strides=1, padding="VALID")
    return tf.nn.conv2d(pooled, kernel, strides=1, padding="VALID")


@pytest.mark.parametrize(
    ("filters", "paper"), [(20, 333.25e9), pytest.param(48, 695.03e9, marks=pytest.mark.slow)]
)
def test_profiler_and_sliding_image_pooling_explain_the_papers_numbers(filters, paper):
    network = build_network(Genotype.load("published"), classes=19, filters=filters)
    convolutions = count_multiply_adds(network, IMAGE_SIZE)
    assert 1.035 < paper / convolutions < 1.055

    profiled = profiled_multiply_adds(
        lambda images: network(images, training=False), [1, *IMAGE_SIZE, 3]
    )
    channels = 5 * filters * 8 // 4
    pooling = profiled_multiply_adds(
        sliding_image_pooling, [1, 129, 257, channels], [1, 1, channels, 256]
    )
    assert (profiled + pooling) / paper == pytest.approx(1, abs=3e-4)
