"""The batch norms of one node: statistics taken, or applied, in the order in which they are met."""

from collections.abc import Sequence

import tensorflow as tf

from auto_deeplab.models.supernet.fast import grouped


class BatchNorms:
    """Normalizes with the batch's statistics and collects them, or with moving ones.

    A node holds the moving statistics of all its batch norms in one vector: what would be a
    thousand small variables, read and written one by one, is two.

    Args:
        moving: Mean and variance, each [sum of channels of all batch norms], to normalize with
            (inference), or None to normalize with the batch's own (training).
        channels: The channels of each batch norm, in the order in which they are met.
        synchronized: Whether a batch's statistics are those of all replicas.
    """

    def __init__(
        self,
        moving: tuple[tf.Tensor, tf.Tensor] | None,
        channels: list[int],
        synchronized: bool = False,
    ):
        self._synchronized = synchronized
        self._moving = None
        if moving is not None:
            mean, variance = (tf.split(vector, channels) for vector in moving)
            self._moving = iter(zip(mean, variance, strict=True))
        self._batch: list[tuple[tf.Tensor, tf.Tensor]] = []

    def __call__(self, images: tf.Tensor, scale: tf.Tensor | None = None) -> tf.Tensor:
        """Normalizes [batch, height, width, channels] and multiplies by `scale` ([channels])."""
        moving = None if self._moving is None else next(self._moving)
        if self._synchronized and moving is None:
            output, statistics = grouped.synchronized_batch_norm(images, scale)
        else:
            output, statistics = grouped.batch_norm(images, scale, moving)
        self._batch.append(statistics)
        return output

    def statistics(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns what was recorded: means and variances, each [sum of channels].

        Nothing is differentiated through them. A loop that carries them out would do so, for
        zeros, were they not cut off.
        """
        means, variances = (
            tf.stop_gradient(tf.concat(kind, axis=0)) for kind in zip(*self._batch, strict=True)
        )
        return means, variances


def update_moving(
    moving: Sequence[tf.Variable], batch: Sequence[tf.Tensor], momentum: float
) -> None:
    """Moves moving statistics towards a batch's: `moving * momentum + batch * (1 - momentum)`."""
    for variable, value in zip(moving, batch, strict=True):
        variable.assign_sub((variable - value) * (1 - momentum))
