"""Runs a network over labeled images and counts what it gets right."""

from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf
import tf_keras
from tqdm import tqdm

from auto_deeplab.evaluation.metrics import ConfusionMatrix


def class_map_function(model: tf_keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function from normalized images to class maps, traced once for all sizes.

    It maps float32 `[batch, height, width, 3]` to int32 `[batch, height, width]`.

    Args:
      model: maps such images to logits `[batch, height, width, classes]`.
    """

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)], autograph=False
    )
    def class_maps(images: tf.Tensor) -> tf.Tensor:
        return tf.argmax(model(images, training=False), axis=-1, output_type=tf.int32)

    return class_maps


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
