"""The sums over a block's inputs (paper, equation 1), for all blocks still to come at once."""

import tensorflow as tf

from auto_deeplab.models.supernet.fast import grouped


class EdgeSums:
    """What the states so far give to the blocks still to come, side by side.

    All edges that leave one state are evaluated together, so a state gives to its readers when it
    is known, instead of each block collecting from its inputs.

    Args:
        blocks: The number of blocks of the cell.
        filters: The channels of each.
    """

    def __init__(self, blocks: int, filters: int):
        self._to_come = blocks
        self._filters = filters
        self._sums: tf.Tensor | None = None

    def add(self, edges: tf.Tensor) -> None:
        """Adds what the edges that leave one state give.

        Args:
            edges: Float [batch, height, width, padded(blocks to come * filters)], as
                `MixedOperations` returns them.
        """
        self._sums = edges if self._sums is None else tf.add_n([self._sums, edges])

    def next_block(self) -> tf.Tensor:
        """Returns the next block, to which all of its inputs have been added.

        Returns:
            Float [batch, height, width, filters].
        """
        sums, filters = self._sums, self._filters
        if sums is None:
            raise RuntimeError("next_block: received no edges; expected a call of add before it")
        self._to_come -= 1
        if not self._to_come:
            return sums[..., :filters]
        rest = self._to_come * filters
        padding = sums.shape[-1] - filters - rest
        block, rest, *_ = tf.split(sums, [filters, rest, padding], axis=-1)
        self._sums = grouped.pad_channels(rest)
        return block
