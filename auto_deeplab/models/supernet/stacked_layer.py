"""Keras layers whose weights hold several network layers of identical structure.

From the trellis layer on at which all nodes exist, every layer of the supernet has the same
structure. Their weights are stacked on a leading axis, so that one loop runs them all and neither
the graph nor the time to build it grows with the number of layers.
"""

import math

import tensorflow as tf
import tf_keras


class StackedLayer(tf_keras.layers.Layer):
    """A layer that declares kernels for `depth` network layers and is called with those of one.

    Attributes:
        depth: the number of network layers whose kernels are stacked.
        kernels: nested dict of variables, each [depth, ...]. `call` takes the same structure
            without the leading axis.
        normalized_channels: the channels of each batch norm, in the order in which `call` meets
            them.
    """

    def __init__(self, depth: int, **kwargs):
        super().__init__(**kwargs)
        self.depth = depth
        self.normalized_channels: list[int] = []

    def add_kernel(self, name: str, shape: list[int], fan_in: int) -> tf.Variable:
        """Adds a kernel [depth, *shape], He-initialized for `fan_in` inputs to each output."""
        return self.add_weight(
            name=name,
            shape=[self.depth, *shape],
            initializer=tf_keras.initializers.RandomNormal(stddev=math.sqrt(2 / fan_in)),
        )
