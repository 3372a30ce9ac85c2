"""The processes that train together: what they agree on, and what happens when one is lost."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from auto_deeplab.distribution.cluster import Cluster
from auto_deeplab.foundations.errors import TRY_AGAIN_STATUS

# What the collective operations of TensorFlow end with when a worker does not answer any more: the
# coordination service, which the first worker runs, expects a sign of life every few seconds.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.DeadlineExceededError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.FailedPreconditionError,
)


class Workers:
    """The processes of a strategy; one, which agrees with itself, where there are no others.

    All workers make the same calls in the same order. Each waits for all others, or ends with one
    of the errors `LOST`.

    Args:
        strategy: What they run under.

    Attributes:
        count: How many there are.
        index: Which one this is.
        replicas: How many replicas each has.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        self.count, self.index = 1, 0
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            cluster = Cluster.from_environment()
            self.count, self.index = len(cluster.addresses), cluster.index
        self.replicas = strategy.num_replicas_in_sync // self.count

    @property
    def is_chief(self) -> bool:
        """Whether this is the worker that writes."""
        return self.index == 0

    def sum(self, values: npt.ArrayLike) -> np.ndarray:
        """Returns the sum of every worker's values, int64."""
        own = np.asarray(values, np.int64)
        if self.count == 1:
            return own
        total = self._strategy.reduce(tf.distribute.ReduceOp.SUM, tf.constant(own), axis=None)
        return total.numpy()

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """Returns of each flag whether some worker has it."""
        return (self.sum(flags) > 0).tolist()

    def of_chief(self, number: int) -> int:
        """Returns the first worker's number."""
        return int(self.sum(number if self.is_chief else 0))

    def input_context(self) -> tf.distribute.InputContext:
        """Returns which share of a data set this worker reads."""
        return tf.distribute.InputContext(
            num_input_pipelines=self.count,
            input_pipeline_id=self.index,
            num_replicas_in_sync=self.count * self.replicas,
        )

    def wait(self) -> None:
        """Returns when all have come here."""
        self.sum(0)

    @contextmanager
    def chief_first(self) -> Iterator[None]:
        """Lets the first worker through the block before the others.

        What it writes there the others find and check, rather than write it too.
        """
        if not self.is_chief:
            self.wait()
        yield
        if self.is_chief:
            self.wait()


@contextmanager
def ending_with_lost_workers(cluster: Cluster | None) -> Iterator[None]:
    """Ends the process when another worker is lost: says so, and asks to be started again.

    Args:
        cluster: The workers; None where there are no others.

    Raises:
        SystemExit: Another worker was lost; the status is `TRY_AGAIN_STATUS`.
    """
    try:
        yield
    except LOST as error:
        if cluster is None:
            raise
        reason = str(error.message).strip()
        _, _, aborted = reason.partition("Collective ops is aborted by: ")
        print(
            f"worker {cluster.index} of {len(cluster.addresses)}: another worker does not answer "
            f"any more ({(aborted or reason).splitlines()[0]}). Start all workers again: they go "
            "on from the newest checkpoint",
            file=sys.stderr,
            flush=True,
        )
        raise SystemExit(TRY_AGAIN_STATUS) from error
