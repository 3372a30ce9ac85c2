"""Loading what a training left in its model_dir."""

import dataclasses
import os
from functools import cached_property
from pathlib import Path

import tf_keras

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.foundations import gin_files
from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.search_space import Genotype

# Each config.gin has values for `runtime`, which gin must know to read them.
from auto_deeplab.training import job, runtime  # noqa: F401
from auto_deeplab.training.checkpoints.checkpoints import load_weights


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained network with what it was trained on.

    Attributes:
        model: Normalized images, float32 [batch, height, width, 3] -> logits
            [batch, height, width, classes].
        description: The dataset's description.
        genotype: The network's architecture; None for one that no genotype describes, such as a
            supernet.
        step: The training step that the weights are from.
        source: The dataset that it was trained on, as it was configured.
    """

    model: tf_keras.Model
    description: DatasetDescription
    genotype: Genotype | None
    step: int
    source: job.DatasetSource

    @cached_property
    def dataset_dir(self) -> str:
        """The folder of the dataset that it was trained on."""
        return job.dataset_dir(self.source)


def load_trained(
    model_dir: str | os.PathLike, checkpoint: str = "latest", predicts: bool = True
) -> Trained:
    """Builds the network of a training and loads its weights.

    Args:
        model_dir: The folder that the training wrote.
        checkpoint: "latest", or "best" for the one with the best validation mIOU.
        predicts: Refuse a network that does not predict as a whole, see `Job.predicts`.

    Raises:
        UserError: A file is missing or does not fit; or the network does not predict.
    """
    folder = ModelDir(Path(model_dir))
    if not folder.config.is_file():
        raise UserError(
            f"{argument('model_dir')}: received {str(model_dir)!r}, which has no "
            f"{folder.config.name}; expected a folder that python -m auto_deeplab.train wrote"
        )
    gin_files.load(str(folder.config))
    with gin_files.explaining_calls():
        configured = job.configured_job()
    if predicts and not configured.predicts:
        raise UserError(
            f"{argument('model_dir')}: received {str(model_dir)!r}, whose search has trained "
            "single architectures and not the whole supernet; expected the folder of a retraining "
            f"of its {folder.genotype.name}"
        )
    description = DatasetDescription.load(folder.path)
    model = configured.build_model(description, folder)
    step = load_weights(model, folder, checkpoint)
    genotype = Genotype.load(folder.genotype) if configured.has_genotype else None
    return Trained(model, description, genotype, step, configured.dataset)
