"""Evaluates a network beside the one that it was made from."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from auto_deeplab.evaluation.inference import Predict, evaluate
from auto_deeplab.evaluation.metrics import ConfusionMatrix


class Comparison(NamedTuple):
    """What a network lost against its reference, on the same images.

    Attributes:
        reference: The reference's name, for people.
        mean_iou: The reference's.
        mean_iou_lost: The reference's mean IOU - the network's, so below 0 for a gain.
        pixels_agree: The share of all pixels that both give the same class, those with the ignore
            label too.
    """

    reference: str
    mean_iou: float
    mean_iou_lost: float
    pixels_agree: float

    def sentence(self) -> str:
        """Returns the comparison in words."""
        change = "below" if self.mean_iou_lost >= 0 else "above"
        return (
            f"mean IOU {100 * abs(self.mean_iou_lost):.2f} points {change} the {self.mean_iou:.2%} "
            f"of {self.reference}; {self.pixels_agree:.3%} of the pixels get the same class"
        )


def evaluate_beside(
    predict: Predict,
    reference: Predict,
    reference_name: str,
    batches: Iterable[tuple[tf.Tensor, tf.Tensor]],
    classes: int,
    ignore_label: int = 255,
    total: int | None = None,
) -> tuple[ConfusionMatrix, Comparison]:
    """Evaluates two networks on the same images, which are read once.

    Args:
        predict: Maps batches of normalized images to class maps, see `inference.evaluate`.
        reference: The same of the network to compare with.
        reference_name: See `Comparison.reference`.
        batches: See `inference.evaluate`, as for all below.
        classes: The number of classes.
        ignore_label: The label value that does not count.
        total: How many batches there are, for the progress bar.

    Returns:
        The confusion matrix of `predict`, and how it compares.
    """
    expected_matrix = ConfusionMatrix(classes, ignore_label)
    latest = np.empty(0)
    agreeing = pixels = 0

    def predicted_by_reference() -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        nonlocal latest
        for images, labels in batches:
            (result,) = reference([images])
            latest = np.asarray(result)
            expected_matrix.update(np.asarray(labels), latest)
            yield images, labels

    def compared(images: Sequence[tf.Tensor]) -> Sequence[np.ndarray]:
        nonlocal agreeing, pixels
        (predictions,) = predict(images)
        agreeing += int(np.count_nonzero(np.asarray(predictions) == latest))
        pixels += latest.size
        return [predictions]

    matrix = evaluate(compared, predicted_by_reference(), classes, ignore_label, total)
    return matrix, Comparison(
        reference_name,
        expected_matrix.mean_iou,
        expected_matrix.mean_iou - matrix.mean_iou,
        agreeing / max(pixels, 1),
    )
