"""Runs a network over labeled images and counts what it gets right."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf
import tf_keras
from tqdm import tqdm

from auto_deeplab.evaluation.metrics import ConfusionMatrix
from auto_deeplab.evaluation.views import mean_probabilities

_IMAGES = tf.TensorSpec([None, None, None, 3], tf.float32)


def class_map_function(
    model: tf_keras.Model, scales: Sequence[float] = (1.0,), flip: bool = False
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function from normalized images to class maps, traced once for all sizes.

    It maps float32 `[batch, height, width, 3]` to int32 `[batch, height, width]`.

    Args:
      model: maps such images to logits `[batch, height, width, classes]`.
      scales: of the images that are predicted; the probabilities are averaged.
      flip: whether each is predicted mirrored, too.
    """
    several = flip or tuple(scales) != (1.0,)

    @tf.function(input_signature=[_IMAGES], autograph=False)
    def class_maps(images: tf.Tensor) -> tf.Tensor:
        # One view needs no probabilities: the largest logit is the largest of them.
        scores = (
            mean_probabilities(model, images, scales, flip)
            if several
            else model(images, training=False)
        )
        return tf.argmax(scores, axis=-1, output_type=tf.int32)

    return class_maps


def probability_function(
    model: tf_keras.Model, scales: Sequence[float] = (1.0,), flip: bool = False
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function from normalized images to probabilities, traced once for all sizes.

    It maps float32 `[batch, height, width, 3]` to float32 `[batch, height, width, classes]`; the
    arguments are those of `class_map_function`.
    """

    @tf.function(input_signature=[_IMAGES], autograph=False)
    def probabilities(images: tf.Tensor) -> tf.Tensor:
        return mean_probabilities(model, images, scales, flip)

    return probabilities


def evaluate(
    predict: Callable[[tf.Tensor], tf.Tensor],
    batches: Iterable[tuple[tf.Tensor, tf.Tensor]],
    classes: int,
    ignore_label: int = 255,
    total: int | None = None,
    progress: bool = True,
) -> ConfusionMatrix:
    """Compares predictions with labels over all batches.

    Args:
      predict: maps float32 images `[batch, height, width, 3]`, normalized, to logits `[batch,
        height, width, classes]` or to a class map `[batch, height, width]` of integers.
      batches: (images, integer labels `[batch, height, width]`). With one image a batch each is
        seen at its own size, as `data.pipeline.evaluation_batches` gives them.
      classes: the number of classes.
      ignore_label: the label of pixels that do not count.
      total: the number of images, for the progress bar.
      progress: whether to show one.

    Returns:
      The confusion matrix of all pixels.
    """
    matrix = ConfusionMatrix(classes, ignore_label)
    with tqdm(total=total, desc="evaluate", unit="image", disable=not progress) as bar:
        for images, labels in batches:
            predictions = np.asarray(predict(images))
            if predictions.ndim == 4:
                predictions = predictions.argmax(axis=-1)
            matrix.update(np.asarray(labels), predictions)
            bar.update(len(predictions))
            bar.set_postfix(mean_iou=f"{matrix.mean_iou:.2%}")
    return matrix
