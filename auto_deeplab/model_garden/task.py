"""Model Garden's segmentation task with what Auto-DeepLab adds to it."""

import dataclasses
from typing import Any

import tensorflow as tf
import tf_keras
from official.core import task_factory
from official.vision.configs import semantic_segmentation as configs
from official.vision.tasks.semantic_segmentation import SemanticSegmentationTask

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.model_garden.backbone import LOW_LEVEL
from auto_deeplab.models.final.decoder import atrous_rates, level_of_stride
from auto_deeplab.models.final.drop_path import set_step_ratio
from auto_deeplab.search_space import Genotype


@dataclasses.dataclass
class AutoDeepLabTaskConfig(configs.SemanticSegmentationTask):
    """Model Garden's segmentation task.

    Attributes:
        drop_path_steps: The steps over which scheduled drop path grows to its full strength: the
            experiments hold it to `trainer.train_steps`.
    """

    drop_path_steps: int = 1


@task_factory.register_task_cls(AutoDeepLabTaskConfig)
class AutoDeepLabTask(SemanticSegmentationTask):
    """Trains, evaluates and exports as Model Garden does, and advances scheduled drop path."""

    # There is nothing to convert, and converting the layers takes as long as building them.
    @tf.autograph.experimental.do_not_convert
    def build_model(self) -> tf_keras.Model:
        """Returns the network, if decoder and head fit the end of the genotype's path.

        Raises:
            UserError: They do not; the message says what would.
        """
        check_levels(self.task_config.model)
        return super().build_model()

    def train_step(
        self,
        inputs: tuple[Any, Any],
        model: tf_keras.Model,
        optimizer: tf_keras.optimizers.Optimizer,
        metrics: list[Any] | None = None,
    ) -> dict[str, tf.Tensor]:
        """One step of Model Garden's trainer; returns its logs."""
        done = tf.cast(optimizer.iterations, tf.float32) / self.task_config.drop_path_steps
        set_step_ratio(model, done)
        return super().train_step(inputs, model, optimizer, metrics)


def check_levels(model: configs.SemanticSegmentationModel) -> None:
    """Checks that a model's ASPP and head read what its genotype gives.

    Models with other backbones are none of its business.

    Raises:
        UserError: A field has another value than the genotype's path needs.
    """
    if model.backbone.type != "auto_deeplab":
        return
    genotype = Genotype.load(model.backbone.auto_deeplab.genotype)
    stride = genotype.network[-1]
    level = level_of_stride(stride)
    for field, received, expected in (
        ("decoder.type", model.decoder.type, "aspp"),
        ("decoder.aspp.level", model.decoder.aspp.level, level),
        ("decoder.aspp.dilation_rates", model.decoder.aspp.dilation_rates, atrous_rates(stride)),
        ("head.level", model.head.level, level),
        ("head.low_level", model.head.low_level, LOW_LEVEL),
    ):
        if received != expected:
            raise UserError(
                f"task.model.{field}: received {received!r}; expected {expected!r}, as the path of "
                f"genotype {genotype.name!r} ends at stride {stride}"
            )
