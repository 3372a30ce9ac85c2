"""The networks and settings that Model Garden's trainer gets from the registered experiments."""

import math

import gin
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.core import exp_factory, task_factory
from official.modeling.optimization import OptimizerFactory

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.model_garden.backbone import AutoDeepLabBackbone
from auto_deeplab.model_garden.experiments import segmentation_model
from auto_deeplab.model_garden.task import AutoDeepLabTask, AutoDeepLabTaskConfig
from auto_deeplab.models.counting import count_parameters
from auto_deeplab.models.final.drop_path import ScheduledDropPath
from auto_deeplab.models.final.network import build_network
from auto_deeplab.search_space import Branch, Genotype

EXPERIMENTS = {
    "auto_deeplab_cityscapes": (19, [769, 769], 1_500_000),
    "auto_deeplab_pascal": (21, [513, 513], 1_500_000),
    "auto_deeplab_ade20k": (150, [513, 513], 4_000_000),
}
CELL = (
    (Branch("prev", "sep_conv_3x3"), Branch("prev_prev", "atrous_conv_3x3")),
    (Branch("block1", "max_pool_3x3"), Branch("prev_prev", "skip")),
)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_training_settings_are_those_of_design_section_4(name):
    config = exp_factory.get_exp_config(name)
    config.validate()
    classes, crop, steps = EXPERIMENTS[name]
    assert config.task.model.num_classes == classes
    assert (config.task.train_data.crop_size or config.task.train_data.output_size) == crop
    assert config.task.train_data.global_batch_size == 16
    assert config.trainer.train_steps == steps
    norm = config.task.model.norm_activation
    backbone = config.task.model.backbone.get()
    assert (norm.norm_momentum, norm.norm_epsilon, backbone.norm_epsilon) == (0.9997, 1e-5, 1e-3)
    assert backbone.initializer == "third_fan_in_uniform"
    assert (backbone.genotype, backbone.filters) == ("published", 20)
    assert config.task.model.decoder.get().dropout_rate == 0.1
    # x / 127.5 - 1
    feature = config.task.train_data.image_feature
    assert feature.mean == feature.stddev == [127.5] * 3

    factory = OptimizerFactory(config.trainer.optimizer_config)
    schedule = factory.build_learning_rate()
    for share in (0.0, 0.5, 0.9):
        expected = 0.05 * (1 - share) ** 0.9
        assert float(schedule(share * steps)) == pytest.approx(expected, rel=1e-4)
    optimizer = factory.build_optimizer(schedule)
    assert isinstance(optimizer, tf_keras.optimizers.legacy.SGD)
    assert optimizer.get_config()["momentum"] == 0.9
    assert not optimizer.get_config()["nesterov"]


# The quicker tests show that small networks are ours, and those of tests/test_summary.py what the
# published one of 20 filters has.
@pytest.mark.slow
@pytest.mark.parametrize(("filters", "expected"), [(20, 10_147_427), (48, 44_424_691)])
def test_published_networks_have_their_parameters(filters, expected):
    config = exp_factory.get_exp_config("auto_deeplab_cityscapes")
    config.task.model.backbone.auto_deeplab.filters = filters
    model = task_factory.get_task(config.task).build_model()
    assert count_parameters(model) == expected


@pytest.fixture(params=[(8, 4, 4, 8), (4, 8, 16), (4, 4)], ids=str)
def genotype_file(request, tmp_path):
    """Paths that start at 8, end at 16, and end at the level of the low-level features."""
    path = tmp_path / "genotype.json"
    Genotype("small", request.param, CELL).save(path)
    return str(path)


ONE_PATH = pytest.mark.parametrize("genotype_file", [(4, 8, 16)], indirect=True, ids=str)


def small_task(genotype_file, **losses):
    task = AutoDeepLabTaskConfig(model=segmentation_model(3, genotype_file, filters=4))
    task.losses.override(losses)
    task.model.backbone.auto_deeplab.final_keep_prob = 0.5
    task.drop_path_steps = 4
    return AutoDeepLabTask(task)


def test_same_weights_give_the_same_logits(genotype_file):
    theirs = small_task(genotype_file).build_model()
    ours = build_network(
        Genotype.load(genotype_file), classes=3, filters=4, head_batch_norm_epsilon=1e-5
    )
    assert count_parameters(theirs) == count_parameters(ours)
    rng = np.random.default_rng(0)
    theirs.decoder(theirs.backbone(tf.zeros([1, 33, 33, 3])))
    encoder = [layer for layer in ours.layers if layer.name not in ("aspp", "decoder")]
    assert [layer.name for layer in theirs.backbone.layers if layer.weights] == [
        layer.name for layer in encoder if layer.weights
    ]
    for mine in encoder:
        if mine.weights:
            weights = [rng.uniform(0.1, 1, weight.shape) for weight in mine.weights]
            mine.set_weights(weights)
            theirs.backbone.get_layer(mine.name).set_weights(weights)
    ours.get_layer("aspp").set_weights(theirs.decoder.get_weights())
    ours.get_layer("decoder").set_weights(theirs.head.get_weights())
    images = tf.constant(rng.uniform(-1, 1, [2, 33, 46, 3]), tf.float32)
    # Model Garden has no pixel grid.
    gin.bind_parameter("pixel_grid.aligned", False)
    logits = tf.image.resize(theirs(images, training=False)["logits"], [33, 46])
    expected = ours(images, training=False)
    assert np.std(expected) > 0
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_the_backbone_is_rebuilt_from_its_config(genotype_file):
    backbone = AutoDeepLabBackbone(
        Genotype.load(genotype_file),
        4,
        batch_norm={"momentum": 0.9},
        final_keep_prob=0.9,
        initializer="glorot_uniform",
    )
    again = AutoDeepLabBackbone.from_config(backbone.get_config())
    again.set_weights(backbone.get_weights())
    images = tf.constant(np.random.default_rng(0).normal(size=[1, 21, 30, 3]), tf.float32)
    for name, output in backbone(images).items():
        np.testing.assert_array_equal(again(images)[name], output)
    assert again.get_config() == backbone.get_config()
    assert backbone.output_specs.keys() == backbone(images).keys()


@ONE_PATH
def test_an_initializer_that_does_not_exist_is_refused(genotype_file):
    task = small_task(genotype_file)
    task.task_config.model.backbone.auto_deeplab.initializer = "he"
    with pytest.raises(UserError, match=r"auto_deeplab.initializer: received 'he'; expected one"):
        task.build_model()


@ONE_PATH
def test_kernels_decay_and_nothing_else_does(genotype_file):
    model = small_task(genotype_file, l2_weight_decay=0.1).build_model()
    kernels = [v for v in model.trainable_variables if "kernel" in v.name]
    assert math.isclose(
        float(tf.add_n(model.losses)),
        0.05 * sum(float(tf.reduce_sum(kernel**2)) for kernel in kernels),
        rel_tol=1e-4,
    )
    assert small_task(genotype_file).build_model().losses == []


@ONE_PATH
def test_a_step_advances_the_drop_path(genotype_file):
    task = small_task(genotype_file)
    model = task.build_model()
    optimizer = tf_keras.optimizers.legacy.SGD(0.1)
    images = tf.constant(np.random.default_rng(0).normal(size=[2, 33, 33, 3]), tf.float32)
    masks = tf.zeros([2, 33, 33, 1])
    labels = {"masks": masks, "valid_masks": tf.ones_like(masks), "image_info": tf.ones([2, 4, 2])}
    (drop_path, *others) = [
        module for module in model.submodules if isinstance(module, ScheduledDropPath)
    ]
    for expected in (0.0, 0.25, 0.5, 0.75, 1.0, 1.25):
        logs = task.train_step((images, labels), model, optimizer)
        assert np.isfinite(logs["loss"])
        assert float(drop_path.step_ratio) == expected
    assert all(float(other.step_ratio) == 1.25 for other in others)
    # A ratio above 1 drops other images, no more of them.
    at_the_end = 1 - drop_path.layer_ratio * (1 - drop_path.final_keep_prob)
    assert float(drop_path.keep_prob()) == pytest.approx(at_the_end)


def test_a_decoder_that_does_not_fit_the_path_is_a_user_error():
    config = exp_factory.get_exp_config("auto_deeplab_pascal")
    config.task.model.decoder.aspp.level = 4
    with pytest.raises(
        UserError, match=r"task\.model\.decoder\.aspp\.level: received 4; expected 3"
    ):
        task_factory.get_task(config.task).build_model()


@ONE_PATH
def test_another_activation_is_refused(genotype_file):
    task = small_task(genotype_file)
    task.task_config.model.norm_activation.activation = "swish"
    with pytest.raises(ValueError, match="received 'swish'; expected 'relu'"):
        task.build_model()


def test_a_drop_path_schedule_of_other_steps_is_refused():
    config = exp_factory.get_exp_config("auto_deeplab_pascal")
    config.override({"trainer": {"train_steps": 10}})
    with pytest.raises(KeyError, match="drop_path_steps"):
        config.validate()
