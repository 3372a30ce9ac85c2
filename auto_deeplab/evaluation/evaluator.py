"""Evaluates a network on a dataset: which views are predicted, and what is counted and written."""

import dataclasses
import itertools
import os
from pathlib import Path

import tf_keras

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.pipeline import evaluation_batches
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.data.survey import naming_corrupt_records
from auto_deeplab.distribution.workers import Workers
from auto_deeplab.evaluation.comparison import evaluate_beside
from auto_deeplab.evaluation.inference import Predict, ReplicatedPrediction, evaluate
from auto_deeplab.evaluation.result import EvaluationResult
from auto_deeplab.evaluation.sliding_windows import SlidingWindows
from auto_deeplab.evaluation.submission import SubmissionWriter


@dataclasses.dataclass(frozen=True)
class Views:
    """How each image is predicted.

    Args:
        scales: Of the views whose probabilities are averaged.
        flip: Whether each view is mirrored as well.
        window: (height, width) of sliding windows; None for whole images.
        overlap: The least share of a window that it has in common with the next one.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    window: tuple[int, int] | None = None
    overlap: float = 0.33

    def predict_with(self, model: tf_keras.Model) -> Predict:
        """Returns the function from batches of images to class maps.

        Args:
            model: See `inference.ReplicatedPrediction`.
        """
        if self.window is None:
            return ReplicatedPrediction(model, self.scales, self.flip)
        probabilities = ReplicatedPrediction(model, self.scales, self.flip, as_probabilities=True)
        return SlidingWindows(probabilities, self.window, self.overlap)


@dataclasses.dataclass(frozen=True)
class EvaluatedNetwork:
    """A network that can be evaluated.

    Args:
        name: Its folder or its file.
        description: Of the dataset that it was trained on.
        predict: Maps batches of normalized images to class maps, see `inference.evaluate`.
        step: The training step of its weights; None for an exported one.
        checkpoint: How the weights were chosen, "latest" or "best"; None for an exported one.
        views: How `predict` sees each image.
    """

    name: str
    description: DatasetDescription
    predict: Predict
    step: int | None = None
    checkpoint: str | None = None
    views: Views = Views()


@dataclasses.dataclass(frozen=True)
class Evaluator:
    """Evaluates networks on a split of a dataset. Each worker predicts its share of the images.

    Args:
        records: The split.
        workers: Who takes part.
        limit: How many images; None for all.
    """

    records: SegmentationRecords
    workers: Workers
    limit: int | None = None

    @property
    def images(self) -> int:
        """How many images are evaluated."""
        return min(self.records.examples, self.limit or self.records.examples)

    def evaluate(
        self, network: EvaluatedNetwork, reference: EvaluatedNetwork | None = None
    ) -> EvaluationResult:
        """Predicts the images and counts what is right.

        Args:
            network: What to evaluate.
            reference: What it was made from, to compare it with on the same images; None for no
                comparison. One worker alone can compare.

        Returns:
            The result over all workers' images.

        Raises:
            UserError: A record is corrupt.
        """
        records, workers = self.records, self.workers
        counted = (
            evaluation_batches(records, limit=self.images, input_context=workers.input_context()),
            len(records.description.classes),
            records.description.ignore_label,
            len(range(workers.index, self.images, workers.count)),
        )
        comparison = None
        with naming_corrupt_records(records):
            if reference:
                matrix, comparison = evaluate_beside(
                    network.predict, reference.predict, reference.name, *counted
                )
            else:
                matrix = evaluate(
                    network.predict,
                    *counted,
                    progress=workers.is_chief,
                    at_a_time=workers.replicas,
                )
        matrix.counts = workers.sum(matrix.counts)
        return EvaluationResult(
            model=network.name,
            step=network.step,
            checkpoint=network.checkpoint,
            dataset=records.description.name,
            split=records.split,
            images=self.images,
            class_names=records.description.classes,
            matrix=matrix,
            scales=network.views.scales,
            flip=network.views.flip,
            window=network.views.window,
            comparison=comparison,
        )

    def submission_writer(
        self, network: EvaluatedNetwork, folder: str | os.PathLike, kind: str
    ) -> SubmissionWriter:
        """Returns what predicts as the network does, and writes it for a test server as well.

        Args:
            network: What predicts.
            folder: Where to.
            kind: The test server, a name in `submission.FORMATS`.

        Raises:
            UserError: See `SubmissionWriter`.
        """
        records, workers = self.records, self.workers
        return SubmissionWriter(
            folder,
            kind,
            records.description,
            records.split,
            itertools.islice(records.file_names(), workers.index, None, workers.count),
            network.predict,
            settings={
                "dataset_dir": str(Path(records.dataset_dir).resolve()),
                "network": str(Path(network.name).resolve()),
                "step": network.step,
                **dataclasses.asdict(network.views),
            },
        )
