"""The searched encoder as a Model Garden backbone of the type `auto_deeplab`.

Importing this module registers it: `backbone.type: auto_deeplab` then works in any segmentation
experiment whose decoder reads the endpoints of `AutoDeepLabBackbone`.
"""

import dataclasses
from functools import partial
from typing import Any

import tf_keras
from official.modeling import hyperparams
from official.vision.configs import backbones
from official.vision.modeling.backbones.factory import register_backbone_builder

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.final.decoder import level_of_stride
from auto_deeplab.models.final.encoder import encode
from auto_deeplab.models.final.initializers import INITIALIZERS
from auto_deeplab.models.layer_calls import convolution_kernels
from auto_deeplab.search_space import Genotype

LOW_LEVEL = "low_level"
"""The endpoint that the decoder fuses: a name, as a path may end at this very level."""


@dataclasses.dataclass
class AutoDeepLab(hyperparams.Config):
    """What describes the backbone.

    Attributes:
        genotype: A genotype's file, or a name such as "published".
        filters: F, the published networks' width: 20, 32 or 48.
        final_keep_prob: Of scheduled drop path, which `task.AutoDeepLabTask` advances; 1 never
            drops.
        norm_epsilon: Added to the variance in the backbone's batch norm; None for the value of
            `norm_activation`, which ASPP and decoder have.
        initializer: Of kernels, one of `models.final.initializers.INITIALIZERS`.
    """

    genotype: str = "published"
    filters: int = 20
    final_keep_prob: float = 1.0
    norm_epsilon: float | None = None
    initializer: str = "he_normal"


@dataclasses.dataclass
class Backbone(backbones.Backbone):
    """Model Garden's choice of backbones with one more."""

    auto_deeplab: AutoDeepLab = dataclasses.field(default_factory=AutoDeepLab)


@tf_keras.utils.register_keras_serializable(package="auto_deeplab")
class AutoDeepLabBackbone(tf_keras.Model):
    """The stem and the path of cells of a genotype.

    Maps images `[batch, height, width, 3]` to a dictionary of two endpoints: "low_level", the
    output of the last layer before the path first leaves stride 4, and the path's end after a
    ReLU, named by its level, log2 of its stride: "3" for the published network.

    Args:
        genotype: The path and the cell.
        filters: F; a cell at stride s has F * s / 4 channels a block.
        batch_norm: Arguments for `tf_keras.layers.BatchNormalization`.
        final_keep_prob: Of scheduled drop path.
        initializer: Of kernels, one of `INITIALIZERS`.
        input_specs: The images' shape; height and width may be None.

    Raises:
        UserError: F * s / 4 is no whole number for a stride of the path.
    """

    def __init__(
        self,
        genotype: Genotype,
        filters: int = 20,
        batch_norm: dict[str, Any] | None = None,
        final_keep_prob: float = 1.0,
        initializer: str = "he_normal",
        input_specs: tf_keras.layers.InputSpec | None = None,
        **kwargs,
    ):
        shape = (None, None, None, 3) if input_specs is None else tuple(input_specs.shape)
        images = tf_keras.Input(shape[1:], name="images")
        features = encode(
            images, genotype, filters, dict(batch_norm or {}), final_keep_prob, initializer
        )
        endpoints = {
            LOW_LEVEL: features.low_level,
            str(level_of_stride(features.final_stride)): features.final,
        }
        super().__init__(inputs=images, outputs=endpoints, **kwargs)
        self.genotype = genotype
        self.filters = filters
        self.batch_norm = dict(batch_norm or {})
        self.final_keep_prob = final_keep_prob
        self.initializer = initializer
        self.input_specs = tf_keras.layers.InputSpec(shape=shape)
        self.output_specs = {name: tensor.shape for name, tensor in endpoints.items()}

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor as JSON values."""
        return {
            "name": self.name,
            "genotype": self.genotype.to_json(),
            "filters": self.filters,
            "batch_norm": dict(self.batch_norm),
            "final_keep_prob": self.final_keep_prob,
            "initializer": self.initializer,
            "input_shape": list(self.input_specs.shape),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects=None) -> "AutoDeepLabBackbone":
        """Makes the backbone whose `get_config` returned `config`."""
        config = dict(config)
        shape = config.pop("input_shape")
        return cls(
            Genotype.from_json(config.pop("genotype")),
            input_specs=tf_keras.layers.InputSpec(shape=shape),
            **config,
        )


@register_backbone_builder("auto_deeplab")
def build_auto_deeplab(
    input_specs: tf_keras.layers.InputSpec,
    backbone_config: Backbone,
    norm_activation_config: hyperparams.Config,
    l2_regularizer: tf_keras.regularizers.Regularizer | None = None,
) -> AutoDeepLabBackbone:
    """Builds the backbone as Model Garden's factory asks for it.

    Args:
        input_specs: The images' shape.
        backbone_config: Of the type `auto_deeplab`.
        norm_activation_config: Momentum, epsilon and synchronization of batch norm. Cells have
            ReLU, as the search had: another activation is refused.
        l2_regularizer: of the convolutions' kernels, or None.

    Raises:
        UserError: The genotype cannot be read, the filters do not fit it, or there is no such
            initializer.
        ValueError: The activation is not "relu".
    """
    config = backbone_config.get()
    if config.initializer not in INITIALIZERS:
        raise UserError(
            f"task.model.backbone.auto_deeplab.initializer: received {config.initializer!r}; "
            f"expected one of {', '.join(INITIALIZERS)}"
        )
    epsilon = config.norm_epsilon
    if norm_activation_config.activation != "relu":
        raise ValueError(
            "task.model.norm_activation.activation: received "
            f"{norm_activation_config.activation!r}; expected 'relu' with the backbone auto_deeplab"
        )
    backbone = AutoDeepLabBackbone(
        Genotype.load(config.genotype),
        config.filters,
        batch_norm={
            "momentum": norm_activation_config.norm_momentum,
            "epsilon": norm_activation_config.norm_epsilon if epsilon is None else epsilon,
            "synchronized": norm_activation_config.use_sync_bn,
        },
        final_keep_prob=config.final_keep_prob,
        initializer=config.initializer,
        input_specs=input_specs,
    )
    if l2_regularizer is not None:
        kernels = {kernel.ref() for kernel in convolution_kernels(backbone)}
        for variable in backbone.trainable_variables:
            if variable.ref() in kernels:
                backbone.add_loss(partial(l2_regularizer, variable))
    return backbone
