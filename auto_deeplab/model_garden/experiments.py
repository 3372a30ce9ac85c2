"""Experiments for Model Garden's trainer: the paper's training (section 5.2), for each dataset.

Importing this module registers `auto_deeplab_cityscapes`, `auto_deeplab_pascal` and
`auto_deeplab_ade20k`. Each reads the TFRecords that this project's converters write.
"""

from official.core import config_definitions as cfg
from official.core import exp_factory
from official.modeling import optimization
from official.vision.configs import common, decoders
from official.vision.configs import semantic_segmentation as configs

from auto_deeplab.data.augmentation import MEAN_PIXEL
from auto_deeplab.model_garden.backbone import LOW_LEVEL, AutoDeepLab, Backbone
from auto_deeplab.model_garden.task import AutoDeepLabTaskConfig
from auto_deeplab.models.final.decoder import atrous_rates, level_of_stride
from auto_deeplab.search_space import Genotype

BATCH_SIZE = 16


def segmentation_model(
    classes: int, genotype: str = "published", filters: int = 20
) -> configs.SemanticSegmentationModel:
    """Returns Model Garden's description of the network that `build_network` builds.

    Epsilons, dropout and the backbone's initial values are those of `gin_configs/base/paper.gin`.

    Args:
        classes: The number of classes.
        genotype: A genotype's file, or a name such as "published".
        filters: F, the published networks' width: 20, 32 or 48.
    """
    stride = Genotype.load(genotype).network[-1]
    level = level_of_stride(stride)
    return configs.SemanticSegmentationModel(
        num_classes=classes,
        input_size=[None, None, 3],
        backbone=Backbone(
            type="auto_deeplab",
            auto_deeplab=AutoDeepLab(
                genotype=genotype,
                filters=filters,
                norm_epsilon=1e-3,
                initializer="third_fan_in_uniform",
            ),
        ),
        decoder=decoders.Decoder(
            type="aspp",
            aspp=decoders.ASPP(level=level, dilation_rates=atrous_rates(stride), dropout_rate=0.1),
        ),
        head=configs.SegmentationHead(
            level=level, feature_fusion="deeplabv3plus", low_level=LOW_LEVEL
        ),
        norm_activation=common.NormActivation(
            activation="relu", norm_momentum=0.9997, norm_epsilon=1e-5, use_sync_bn=True
        ),
    )


@exp_factory.register_config_factory("auto_deeplab_cityscapes")
def auto_deeplab_cityscapes() -> cfg.ExperimentConfig:
    """Cityscapes: 769x769 crops, 1.5M steps; whole images in evaluation."""
    return _experiment(
        classes=19,
        train_examples=2975,
        train_steps=1_500_000,
        # Scaled by 0.5 to 2 after the crop: Model Garden's order.
        train_data={"output_size": [1024, 2048], "crop_size": [769, 769]},
        validation_data={
            "output_size": [1024, 2048],
            "resize_eval_groundtruth": True,
            "global_batch_size": 4,
        },
        folder="datasets/cityscapes",
    )


@exp_factory.register_config_factory("auto_deeplab_pascal")
def auto_deeplab_pascal() -> cfg.ExperimentConfig:
    """PASCAL VOC 2012 with the extra annotations: 513x513 crops, 1.5M steps."""
    return _experiment(
        classes=21,
        train_examples=10_582,
        train_steps=1_500_000,
        train_data={"output_size": [513, 513]},
        # Predictions are brought to the images' own size, which is 500 pixels at the most.
        validation_data={
            "output_size": [513, 513],
            "resize_eval_groundtruth": False,
            "groundtruth_padded_size": [513, 513],
            "global_batch_size": 8,
        },
        folder="datasets/pascal",
    )


@exp_factory.register_config_factory("auto_deeplab_ade20k")
def auto_deeplab_ade20k() -> cfg.ExperimentConfig:
    """ADE20K: a longer side of 513 pixels, 513x513 crops, 4M steps."""
    # Model Garden's parser scales validation images and their labels to a longer side of 513: it
    # would score at the original size only if that were known to be at most some size.
    return _experiment(
        classes=150,
        train_examples=20_210,
        train_steps=4_000_000,
        train_data={"output_size": [513, 513]},
        validation_data={
            "output_size": [513, 513],
            "resize_eval_groundtruth": True,
            "global_batch_size": 8,
        },
        folder="datasets/ade20k",
    )


def _experiment(
    classes: int,
    train_examples: int,
    train_steps: int,
    train_data: dict,
    validation_data: dict,
    folder: str,
) -> cfg.ExperimentConfig:
    epoch = train_examples // BATCH_SIZE
    # x / 127.5 - 1, as everywhere here: Model Garden's own default is ImageNet's statistics.
    image_feature = configs.DenseFeatureConfig(mean=[MEAN_PIXEL] * 3, stddev=[MEAN_PIXEL] * 3)
    return cfg.ExperimentConfig(
        task=AutoDeepLabTaskConfig(
            model=segmentation_model(classes),
            losses=configs.Losses(ignore_label=255, l2_weight_decay=4e-5),
            train_data=configs.DataConfig(
                input_path=f"{folder}/train-*.tfrecord",
                image_feature=image_feature,
                is_training=True,
                global_batch_size=BATCH_SIZE,
                aug_scale_min=0.5,
                aug_scale_max=2.0,
                aug_rand_hflip=True,
                **train_data,
            ),
            validation_data=configs.DataConfig(
                input_path=f"{folder}/val-*.tfrecord",
                image_feature=image_feature,
                is_training=False,
                drop_remainder=False,
                **validation_data,
            ),
            drop_path_steps=train_steps,
        ),
        trainer=cfg.TrainerConfig(
            train_steps=train_steps,
            steps_per_loop=epoch,
            summary_interval=epoch,
            checkpoint_interval=10 * epoch,
            validation_interval=10 * epoch,
            validation_steps=-1,
            optimizer_config=optimization.OptimizationConfig(
                {
                    "optimizer": {"type": "sgd", "sgd": {"momentum": 0.9}},
                    "learning_rate": {
                        "type": "polynomial",
                        "polynomial": {
                            "initial_learning_rate": 0.05,
                            "decay_steps": train_steps,
                            "end_learning_rate": 0.0,
                            "power": 0.9,
                        },
                    },
                }
            ),
        ),
        restrictions=[
            "task.train_data.is_training != None",
            "task.validation_data.is_training != None",
            "task.drop_path_steps == trainer.train_steps",
        ],
    )
