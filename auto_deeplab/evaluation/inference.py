"""Runs a network over labeled images and counts what it gets right."""

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf
import tf_keras
from tqdm import tqdm

from auto_deeplab.distribution.workers import Workers
from auto_deeplab.evaluation.metrics import ConfusionMatrix
from auto_deeplab.evaluation.views import mean_probabilities

_IMAGES = tf.TensorSpec([None, None, None, 3], tf.float32)

# Maps any number of batches, float32 images `[batch, height, width, 3]`, normalized, to as many
# results.
Predict = Callable[[Sequence[tf.Tensor]], Sequence[np.ndarray]]


def class_map_function(
    model: tf_keras.Model, scales: Sequence[float] = (1.0,), flip: bool = False
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function from normalized images to class maps, traced once for all sizes.

    It maps float32 `[batch, height, width, 3]` to int32 `[batch, height, width]`.

    Args:
        model: Maps such images to logits `[batch, height, width, classes]`.
        scales: Of the images that are predicted; the probabilities are averaged.
        flip: Whether each is predicted mirrored, too.
    """
    return tf.function(_class_maps(model, scales, flip), input_signature=[_IMAGES], autograph=False)


class ReplicatedPrediction:
    """Predicts batches on all replicas that this process has of a model: a `Predict`.

    It is traced once for all sizes; on TPUs once for each size, as they know no other shapes than
    those that they are compiled for.

    Args:
        model: Maps normalized images to logits `[batch, height, width, classes]`; made in the scope
            of a distribution strategy. Its replicas read their own moving statistics.
        scales: See `class_map_function`.
        flip: See `class_map_function`.
        as_probabilities: Whether the results are probabilities, float32 `[batch, height, width,
            classes]`, rather than class maps, int32 `[batch, height, width]`.

    Attributes:
        replicas: How many batches are predicted at the same time.
    """

    def __init__(
        self,
        model: tf_keras.Model,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        as_probabilities: bool = False,
    ) -> None:
        strategy = model.distribute_strategy

        def probabilities(images: tf.Tensor) -> tf.Tensor:
            return mean_probabilities(model, images, scales, flip)

        predict = probabilities if as_probabilities else _class_maps(model, scales, flip)
        workers = Workers(strategy)
        self.replicas = workers.replicas
        first = workers.index * workers.replicas
        is_static = isinstance(strategy, tf.distribute.TPUStrategy)

        @tf.function(
            input_signature=None if is_static else [[_IMAGES] * self.replicas], autograph=False
        )
        def run(batches: list[tf.Tensor]) -> Sequence[tf.Tensor]:
            images = strategy.experimental_distribute_values_from_function(
                lambda context: batches[context.replica_id_in_sync_group - first]
            )
            return strategy.experimental_local_results(strategy.run(predict, args=(images,)))

        self._run = run

    def __call__(self, batches: Sequence[tf.Tensor]) -> list[np.ndarray]:
        """Returns the result of each batch."""
        results = []
        for start in range(0, len(batches), self.replicas):
            some = list(batches[start : start + self.replicas])
            # Replicas that have nothing to do do the last one's work again.
            busy = len(some)
            some += some[-1:] * (self.replicas - busy)
            results += [result.numpy() for result in self._run(some)[:busy]]
        return results


def evaluate(
    predict: Predict,
    batches: Iterable[tuple[tf.Tensor, tf.Tensor]],
    classes: int,
    ignore_label: int = 255,
    total: int | None = None,
    progress: bool = True,
    at_a_time: int = 1,
) -> ConfusionMatrix:
    """Compares predictions with labels over all batches.

    Args:
        predict: Maps batches of images to logits `[batch, height, width, classes]` or to class maps
            `[batch, height, width]` of integers.
        batches: (images, integer labels `[batch, height, width]`). With one image a batch each is
            seen at its own size, as `data.pipeline.evaluation_batches` gives them.
        classes: The number of classes.
        ignore_label: The label of pixels that do not count.
        total: The number of images, for the progress bar.
        progress: Whether to show one.
        at_a_time: How many batches `predict` is given.

    Returns:
        The confusion matrix of all pixels.
    """
    matrix = ConfusionMatrix(classes, ignore_label)
    with tqdm(total=total, desc="evaluate", unit="image", disable=not progress) as bar:
        batches = iter(batches)
        while some := list(itertools.islice(batches, at_a_time)):
            results = predict([images for images, _ in some])
            for (_, labels), predictions in zip(some, results, strict=True):
                predictions = np.asarray(predictions)
                if predictions.ndim == 4:
                    predictions = predictions.argmax(axis=-1)
                matrix.update(np.asarray(labels), predictions)
                bar.update(len(predictions))
            bar.set_postfix(mean_iou=f"{matrix.mean_iou:.2%}")
    return matrix


def _class_maps(
    model: tf_keras.Model, scales: Sequence[float], flip: bool
) -> Callable[[tf.Tensor], tf.Tensor]:
    several = flip or tuple(scales) != (1.0,)

    def class_maps(images: tf.Tensor) -> tf.Tensor:
        # One view needs no probabilities: the largest logit is the largest of them.
        scores = (
            mean_probabilities(model, images, scales, flip)
            if several
            else model(images, training=False)
        )
        return tf.argmax(scores, axis=-1, output_type=tf.int32)

    return class_maps
