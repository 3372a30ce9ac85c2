"""The kernels of a node, kept in one vector.

A node has some sixty kernels. As variables of their own they would make the graph, and the time to
build it, several times larger; as one vector they are read, differentiated, decayed and updated by
one operation each.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel that a layer is called with.

    Args:
        shape: Of the kernel.
        fan_in: How many inputs each output has, for the initial values.
    """

    shape: tuple[int, ...]
    fan_in: int

    @property
    def size(self) -> int:
        """How many numbers the kernel has."""
        return math.prod(self.shape)


Kernels = Mapping[str, "Kernel | Kernels"]


def initial_vectors(kernels: Kernels, count: int) -> tf.Tensor:
    """Returns He-normal initial values for `count` network layers, float32 [count, numbers]."""
    leaves = tf.nest.flatten(kernels)
    deviations = np.repeat(
        [math.sqrt(2 / kernel.fan_in) for kernel in leaves], [kernel.size for kernel in leaves]
    )
    return tf.random.normal([count, len(deviations)]) * tf.constant(deviations, tf.float32)


def unpack(kernels: Kernels, vector: tf.Tensor) -> Mapping:
    """Returns the tensors that one network layer's vector [numbers] holds, structured alike."""
    leaves = tf.nest.flatten(kernels)
    parts = tf.split(vector, [kernel.size for kernel in leaves])
    return tf.nest.pack_sequence_as(
        kernels,
        [tf.reshape(part, kernel.shape) for part, kernel in zip(parts, leaves, strict=True)],
    )
