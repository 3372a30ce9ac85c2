"""A candidate's training: what `python -m auto_deeplab.train` does, with the rung's steps.

Each rung trains anew, with a whole learning rate schedule of its own. To go on from the weights of
the rung before would save less than a quarter of the steps (2/9 with three rungs of a third each).
It would have to raise a learning rate that has ended at 0, so that the figures were those of a
training that nobody runs: the highest rung's is the one that the gin file describes, and its folder
is a model_dir that can be evaluated and exported. And it would carry the luck of the initial values
up: here each rung has a seed of its own, the same for all its candidates.
"""

import contextlib
import dataclasses
import gc
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gin
import tensorflow as tf
import tf_keras

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.pipeline import evaluation_batches, open_records
from auto_deeplab.foundations import gin_files
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.runs.selection import Candidate, Failure, RungResult, SelectionDir
from auto_deeplab.runs.setting import comparable_values
from auto_deeplab.runs.versions import machine_name
from auto_deeplab.search_space import Genotype
from auto_deeplab.training.checkpoints.files import SCORE
from auto_deeplab.training.job import configured_job, dataset_dir
from auto_deeplab.training.loop.divergence import DivergedError
from auto_deeplab.training.retrain import Retrain
from auto_deeplab.training.runtime import configure_runtime

_PIXEL_ACCURACY = "val_pixel_accuracy"
# Epochs between validations: more than any training has. The last epoch is validated anyway.
_AT_THE_END = 2**31 - 1
# What differs between candidates, rungs, hosts or sessions and changes no result, or is kept as the
# selection's own.
_OWN = {
    "Retrain.genotype",
    "Retrain.dataset",
    "Retrain.checkpoint_minutes",
    "Retrain.kept_checkpoints",
    "Retrain.validation_every",
    "Selection",
    "configure_runtime.inter_op_threads",
    "configure_runtime.intra_op_threads",
    "configure_runtime.graph_optimizer",
    "street_scenes.directory",
    "street_scenes.workers",
}


@dataclasses.dataclass(frozen=True)
class Retraining:
    """What a gin file says of the trainings, and how one is made and measured.

    Args:
        gin_file: As `train` takes it.
        gin_parameters: As `train` takes them.
        folder: Of the selection.
    """

    gin_file: str
    gin_parameters: Sequence[str]
    folder: SelectionDir

    def configure(self, **values: Any) -> Retrain:
        """Makes the gin file the configuration, and returns its retraining.

        Args:
            values: Of `Retrain`, in place of the file's.

        Raises:
            UserError: It is no retraining of an architecture, or a value is wrong.
        """
        replaced = [f"Retrain.{name} = {value!r}" for name, value in values.items()]
        gin_files.load(self.gin_file, [*self.gin_parameters, *replaced])
        configure_runtime()
        with gin_files.explaining_calls():
            job = configured_job()
        if not isinstance(job, Retrain) or not job.has_genotype:
            raise UserError(
                f"{self.gin_file}: received a configuration that trains no genotype; expected one "
                "of a retraining, such as retrain.gin"
            )
        if job.initial_model_dir is not None:
            raise UserError(
                f"Retrain.initial_model_dir: received {job.initial_model_dir!r}; expected None: "
                "candidates have different architectures"
            )
        return job

    def prepare(self) -> "Preparation":
        """Returns what is known before any training.

        Raises:
            UserError: See `configure`; or there is no such dataset.
        """
        gin_files.load(self.gin_file, self.gin_parameters)
        config = gin.config_str()
        # A retraining needs some architecture; which one does not matter here.
        job = self.configure(genotype="published")
        with gin_files.explaining_calls():
            directory = dataset_dir(job.dataset)
        records = open_records(directory, job.validation_split)
        images, _ = next(iter(evaluation_batches(records, limit=1)))
        height, width = images.shape[1:3]
        return Preparation(job, config, directory, records.description, (height, width))

    def train(self, candidate: Candidate, rung: int, rung_steps: Sequence[int]) -> RungResult:
        """Trains a candidate, going on where an earlier worker stopped.

        Args:
            candidate: The architecture.
            rung: Which rung.
            rung_steps: The length of each rung's trainings.

        Raises:
            UserError: See `Job.train`; but a training that diverges, or that the memory of the
                device does not suffice for, is a result.
            SystemExit: SIGTERM came; what was trained is saved.
        """
        started = time.monotonic()
        # Keras keeps the graph of every network that was built.
        tf_keras.backend.clear_session()
        gc.collect()
        steps = rung_steps[rung]
        model_dir = ModelDir(self.folder.training(candidate, steps))
        genotype = model_dir.path.parent / "genotype.json"
        if not genotype.exists():
            candidate.genotype.save(genotype)
        whole = self.configure(genotype=str(genotype))
        job = self.configure(
            genotype=str(genotype),
            steps=steps,
            warm_up_steps=whole.warm_up_steps * steps // rung_steps[-1],
            seed=whole.seed + len(rung_steps) - 1 - rung,
            validation_every=_AT_THE_END,
        )
        with model_dir.locked():
            measures, failure = self._measure(job, model_dir)
            if measures[SCORE] is None:
                raise UserError(
                    "Retrain.validation_split: received images without any label that counts; "
                    "expected some to compare candidates by"
                )
            if rung + 1 < len(rung_steps):
                # Nobody needs the weights any more; its figures stay.
                shutil.rmtree(model_dir.checkpoints, ignore_errors=True)
        return RungResult(
            steps=steps,
            seed=job.seed,
            mean_iou=measures[SCORE],
            pixel_accuracy=measures[_PIXEL_ACCURACY],
            seconds=time.monotonic() - started,
            failure=failure,
            machine=machine_name(),
        )

    def _measure(self, job: Retrain, model_dir: ModelDir) -> tuple[dict[str, Any], Failure]:
        """Trains, and returns the last validation's measures and why there is none."""
        failure: Failure
        try:
            with gin_files.explaining_calls(), _log(model_dir.path):
                job.train(model_dir, tf.distribute.get_strategy())
        except DivergedError:
            failure = "diverged"
        except tf.errors.ResourceExhaustedError:
            # Smaller candidates can be trained all the same.
            failure = "out of memory"
        else:
            return model_dir.read_metrics()[-1], ""
        return {SCORE: 0.0, _PIXEL_ACCURACY: 0.0}, failure


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What is known before any training.

    Args:
        job: The retraining of the gin file, of any architecture.
        config: The gin configuration.
        dataset_dir: The folder of its dataset.
        description: Of the dataset.
        image_size: (height, width) of the first validation image.
    """

    job: Retrain
    config: str
    dataset_dir: str
    description: DatasetDescription
    image_size: tuple[int, int]

    def build(self) -> Callable[[Genotype], tf_keras.Model]:
        """Returns what builds a candidate's network."""
        classes = len(self.description.classes)
        return lambda genotype: self.job.network(genotype=genotype, classes=classes)

    def setting(self) -> dict[str, Any]:
        """Returns what all trainings have in common, as JSON values."""
        return {
            "values": comparable_values(self.config, _OWN),
            "dataset": dataclasses.asdict(self.description),
        }


@contextlib.contextmanager
def _log(folder: Path) -> Iterator[None]:
    """Lets a training print to a file of its folder: hundreds of them would fill the terminal."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / "log.txt").open("a", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
    ):
        yield
