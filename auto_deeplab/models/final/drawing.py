"""Random numbers of a training step, as a function of the step: there is no state to save.

A layer that drew from a generator of its own would draw anew where a training goes on, and the same
for each part of a batch that is computed in parts. Here a draw follows from the layer's seed, what
tells the steps apart, the replica and the part. (What XLA compiles draws other numbers than what it
does not.)
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import tensorflow as tf

# Each replica has a thread of its own.
_thread = threading.local()


class Draw(NamedTuple):
    """What random numbers are drawn for.

    Attributes:
        step: How many steps were finished before, an integer scalar.
        part: Of the replica's batch, 0 for the first. Whole batches are drawn for as their first
            part would be.
    """

    step: int | tf.Tensor
    part: int | tf.Tensor = 0


@contextmanager
def drawing_for(step: int | tf.Tensor, part: int | tf.Tensor = 0) -> Iterator[None]:
    """Makes what is drawn within differ from what is drawn for other steps and parts of a batch.

    Args:
        step: See `Draw`.
        part: See `Draw`.
    """
    _thread.draw = Draw(step, part)
    try:
        yield
    finally:
        del _thread.draw


def present_draw() -> Draw | None:
    """Returns what `drawing_for` says; None outside of it."""
    return getattr(_thread, "draw", None)


def for_replica_and_part(seed: tf.Tensor) -> tf.Tensor:
    """Returns the seed that a replica has for the present part of its batch.

    Args:
        seed: int32 [2], the same on all replicas.
    """
    replica = tf.distribute.get_replica_context()
    if replica is None:
        return seed
    draw = present_draw()
    part = draw.part if draw else 0
    return tf.random.fold_in(
        seed, part * replica.num_replicas_in_sync + replica.replica_id_in_sync_group
    )
