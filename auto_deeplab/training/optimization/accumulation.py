"""Gradients of a batch that is computed in parts, one after the other, for the memory of one."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from auto_deeplab.foundations.errors import UserError


def loss_and_gradients(
    compute_loss: Callable[[int | tf.Tensor], tf.Tensor],
    variables: Sequence[tf.Variable],
    parts: int,
    scaled: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Returns the sum of the parts' losses, and the gradients of their scaled sum.

    What the gradients need is kept of one part at a time.

    Args:
        compute_loss: Called with the number of a part, 0 to `parts` - 1; returns a float32 scalar.
        variables: What to differentiate by.
        parts: How many parts there are.
        scaled: Multiplies a loss by a factor before it is differentiated.
    """

    def of_part(part):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            loss = compute_loss(part)
            scaled_loss = scaled(loss)
        return loss, tape.gradient(scaled_loss, variables)

    if parts == 1:
        return of_part(0)
    _, sums = tf.while_loop(
        lambda part, _: part < parts,
        lambda part, sums: (part + 1, tf.nest.map_structure(tf.add, sums, of_part(part))),
        (tf.constant(0), (tf.constant(0.0), [tf.zeros_like(variable) for variable in variables])),
        parallel_iterations=1,
        maximum_iterations=parts,
    )
    return sums


def part_of(batch: Sequence[tf.Tensor], part: int | tf.Tensor, parts: int) -> list[tf.Tensor]:
    """Returns one of `parts` equal parts of a batch.

    Args:
        batch: Tensors [batch, ...]; batch is a multiple of `parts`.
        part: The number of the part.
        parts: How many parts there are.

    Returns:
        Tensors [batch / parts, ...].
    """
    if parts == 1:
        return list(batch)
    return [tf.gather(tf.reshape(tensor, [parts, -1, *tensor.shape[1:]]), part) for tensor in batch]


def check_parts(name: str, parts: int, batch_size: int, replicas: int) -> None:
    """Looks whether the batch of each replica can be divided into equal parts.

    Args:
        name: Of the setting, such as "Search.gradient_accumulation_steps".
        parts: Its value.
        batch_size: Of the global batch.
        replicas: How many replicas share it.

    Raises:
        UserError: It cannot.
    """
    if parts < 1 or batch_size % (parts * replicas):
        raise UserError(
            f"{name}: received {parts}; expected a divisor of the {batch_size // replicas} images "
            "that a replica has of each batch"
        )


def check_synchronization(name: str, parts: int, replicas: int, synchronized: bool) -> None:
    """Looks whether what the replicas share lets their batches be computed in parts.

    TensorFlow's mirrored strategies cannot communicate within a loop, as batch norm would have to
    for the statistics of a part on all replicas.

    Args:
        name: Of the setting, such as "Search.gradient_accumulation_steps".
        parts: Its value.
        replicas: How many replicas there are.
        synchronized: Whether they share batch norm's statistics.

    Raises:
        UserError: It does not.
    """
    if synchronized and parts > 1 and replicas > 1:
        raise UserError(
            f"{name}: received {parts} with synchronized batch norm on {replicas} replicas; "
            "expected 1, or batch norm that is not synchronized"
        )
