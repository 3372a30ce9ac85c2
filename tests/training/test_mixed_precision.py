"""Half precision: training follows float32, what has to stay float32 does, losses are scaled."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras.optimizers import legacy

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.final.encoder import encode
from auto_deeplab.models.resize import ResizeLike
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.training.checkpoints.checkpoints import Checkpoints
from auto_deeplab.training.optimization.loss import cross_entropy
from auto_deeplab.training.optimization.optimizers import with_loss_scale
from auto_deeplab.training.optimization.update import create_slots, update
from auto_deeplab.training.retrain_model import RetrainModel
from auto_deeplab.training.runtime import PRECISIONS, configure_runtime
from auto_deeplab.training.search_model import SearchModel
from auto_deeplab.training.trained import load_trained
from tests.architectures import SMALL_GENOTYPE
from tests.helpers import TINY_SEARCH, run_command, skip_unless_computed
from tests.trainings import all_operations

HALF = ("bfloat16", "float16")
STEPS = 50


@pytest.fixture(autouse=True)
def compute_in():
    """Sets what networks that are built from now on compute in."""

    def choose(precision):
        skip_unless_computed(precision)
        tf_keras.mixed_precision.set_global_policy(PRECISIONS[precision])

    yield choose
    choose("none")


def make_batch(size):
    """Images whose classes differ in color, and their labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, [4, 9, 9]).repeat(4, 1).repeat(4, 2)[:, :size, :size]
    images = 1.5 * np.eye(3)[labels] + rng.normal(size=[4, size, size, 3]) * 0.7
    labels[:, :3] = 255
    return tf.constant(images, tf.float32), tf.constant(labels, tf.int32)


def small_network():
    """Stem and cells with a classifier.

    In float16 a CPU takes minutes for the decoder's 256 channels.
    """
    images = tf_keras.Input([None, None, 3])
    batch_norm = {"momentum": 0.9, "epsilon": 1e-3, "synchronized": False}
    features = encode(images, SMALL_GENOTYPE, 4, batch_norm, final_keep_prob=0.9)
    logits = tf_keras.layers.Conv2D(3, 1)(features.final)
    return tf_keras.Model(images, ResizeLike(dtype="float32")((logits, images)))


def search_model(make_supernet):
    model = SearchModel(make_supernet())
    model.compile(legacy.SGD(0.001, 0.9), legacy.Adam(0.003))
    return model


def search_losses(make_supernet):
    model = search_model(make_supernet)
    batch = make_batch(SIZE)
    return [
        [float(run(*batch)) for run in (model.run_network_update, model.run_architecture_update)]
        for _ in range(STEPS)
    ]


def retrain_losses():
    tf_keras.utils.set_random_seed(1)
    model = RetrainModel(small_network(), STEPS)
    model.compile(with_loss_scale(legacy.SGD(0.001, 0.9)))
    create_slots(model.optimizer, model.network.trainable_variables)

    @tf.function(autograph=False)
    def step(*batch):
        return model.train_step(batch)["loss"]

    batch = make_batch(SIZE)
    return [float(step(*batch)) for _ in range(STEPS)]


SIZE = 17  # float16 is slow on a CPU
# The largest relative error of rounding to the nearest: half of a unit in the last of 8 or 11 bits.
ROUNDING = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
# Convolutions and batch norms, one after the other, from the image to the loss and back: stem 6,
# each of two cells 8, classifier 1. As many roundings add up to at most their sum.
ROUNDINGS = 2 * 23


def loss_and_gradients(network):
    """Those of the first step, with a loss scaled up so that float16 holds the gradients."""
    images, labels = make_batch(SIZE)

    @tf.function(autograph=False)
    def compute():
        with tf.GradientTape() as tape:
            loss = cross_entropy(labels, network(images, training=True), 255)
            scaled = loss * 1024.0
        return loss, tape.gradient(scaled, network.trainable_variables)

    loss, gradients = compute()
    return float(loss), np.concatenate([np.ravel(gradient) / 1024 for gradient in gradients])


@pytest.fixture(scope="module")
def of_float32():
    """Calls a function the first time that it is asked for: both half precisions compare with it.

    It has to be called before another precision is chosen.
    """
    results = {}

    def result(name, compute):
        assert tf_keras.mixed_precision.global_policy().name == "float32"
        if name not in results:
            results[name] = compute()
        return results[name]

    return result


@pytest.mark.parametrize("kind", ["search", "retraining"])
@pytest.mark.parametrize("precision", HALF)
def test_a_step_is_that_of_float32_but_for_rounding(
    precision, kind, compute_in, of_float32, make_supernet, smooth
):
    def results():
        tf_keras.utils.set_random_seed(1)
        return loss_and_gradients(make_supernet() if kind == "search" else small_network())

    expected_loss, expected = of_float32(f"first step of a {kind}", results)
    compute_in(precision)
    loss, gradients = results()
    bound = ROUNDINGS * ROUNDING[precision]
    assert loss == pytest.approx(expected_loss, rel=bound)
    error = np.linalg.norm(gradients - expected) / np.linalg.norm(expected)
    # It is no float32 in disguise, either.
    assert ROUNDING[precision] / 4 < error < bound


def assert_falls_like(losses, expected):
    """Of 50 steps, each from where the last one's rounding led, only the trend can be compared.

    Where ReLU or drop path is at an edge, the next bits send two runs different ways. From
    processor to processor float16's single losses moved by 2%; the mean of ten moves less.
    """
    losses, expected = (np.asarray(each).reshape([STEPS, -1]) for each in (losses, expected))
    fallen, expected_fall = (each[:10].mean(0) - each[-10:].mean(0) for each in (losses, expected))
    assert (expected_fall > 0).all()
    np.testing.assert_allclose(fallen, expected_fall, rtol=0.25)


@pytest.mark.parametrize("kind", ["search", "retraining"])
@pytest.mark.parametrize("precision", HALF)
def test_it_learns_as_in_float32(precision, kind, compute_in, of_float32, make_supernet):
    def losses():
        return search_losses(make_supernet) if kind == "search" else retrain_losses()

    expected = of_float32(f"losses of a {kind}", losses)
    compute_in(precision)
    assert_falls_like(losses(), expected)


@pytest.mark.parametrize("precision", HALF)
def test_what_is_half_precision_and_what_is_not(precision, compute_in):
    compute_in(precision)
    # All operations, and layers that run as a loop.
    supernet = Supernet(3, layers=4, strides=(4, 8), blocks=1, filters=4)
    model = SearchModel(supernet)
    model.compile(legacy.SGD(0.1, 0.9), legacy.Adam(0.01))
    assert {variable.dtype for variable in supernet.weights} == {tf.float32}
    graph = model.run_network_update.get_concrete_function(*make_batch(33)).graph
    operations = all_operations(graph)

    def dtypes(*kinds):
        found = [operation for operation in operations if operation.type in kinds]
        assert found
        return {operation.outputs[0].dtype for operation in found}

    half = tf.as_dtype(precision)
    convolutions = ("Conv2D", "Conv2DBackpropFilter", "Conv2DBackpropInput")
    depthwise = {f"DepthwiseConv2dNative{kind}" for kind in ("", "BackpropFilter", "BackpropInput")}
    assert dtypes(*convolutions) == dtypes(*depthwise) == {half}
    assert dtypes("FusedBatchNormV3", "MaxPool", "AvgPool", "Relu") == {half}
    # Batch norm's statistics, the softmaxes of alpha and beta, and the loss.
    statistics = [
        output.dtype
        for operation in operations
        if operation.type == "FusedBatchNormV3"
        for output in operation.outputs[1:3]
    ]
    assert set(statistics) == {tf.float32}
    assert dtypes("Softmax", "Exp", "SparseSoftmaxCrossEntropyWithLogits") == {tf.float32}
    # A node's kernels are cast once a step, for all layers that are alike.
    kernels = [node.kernels for s in supernet.trellis.segments for node in s.nodes]
    casts = [
        operation.outputs[0].shape
        for operation in operations
        if operation.type == "Cast" and operation.outputs[0].dtype == half
    ]
    for kernel in kernels:
        assert casts.count(kernel.shape) == sum(other.shape == kernel.shape for other in kernels)
    assert supernet(make_batch(33)[0]).dtype == tf.float32


@pytest.fixture
def scaled(compute_in):
    """A variable of 1.0, and an optimizer whose loss scale is 4 and would double in 3 steps."""
    compute_in("float16")
    optimizer = with_loss_scale(legacy.SGD(0.5))
    assert float(optimizer.loss_scale) == 2**15
    optimizer = tf_keras.mixed_precision.LossScaleOptimizer(
        legacy.SGD(0.5), initial_scale=4, dynamic_growth_steps=3
    )
    return tf.Variable(1.0), optimizer


def test_gradients_too_small_for_float16_are_not_lost(compute_in):
    compute_in("float16")
    values = []
    for optimizer in (legacy.SGD(1e7), with_loss_scale(legacy.SGD(1e7))):
        variable = tf.Variable(1.0)
        # 1e-8 is zero in float16.
        update(
            lambda part, v=variable: 1e-8 * tf.cast(tf.cast(v, tf.float16), tf.float32),
            [variable],
            optimizer,
            weight_decay=0.0,
        )
        values.append(float(variable))
    assert values == pytest.approx([1.0, 0.9], rel=1e-3)


def test_steps_without_finite_gradients_are_left_out(scaled):
    variable, optimizer = scaled

    def step(factor, parts=1):
        """The gradient is `factor` / 4 times the loss scale before it is scaled back."""
        return update(
            lambda part: factor * tf.cast(tf.cast(variable, tf.float16), tf.float32),
            [variable],
            optimizer,
            weight_decay=0.1,
            clip_norm=1.0,
            parts=parts,
        )

    state = []
    for factor, parts in [(0.0, 1), (3e4, 1), (3e4, 2), (2.0, 1), (1e9, 1), (0.5, 1), (1e9, 1)]:
        loss = float(step(factor, parts))
        state.append((loss, float(variable), float(optimizer.loss_scale)))
    # Decayed by 0.05 and nothing else.
    assert state[0] == pytest.approx((0.0, 0.95, 4))
    # 4 * 3e4 is beyond float16: halved twice, the second time by one of two parts.
    assert state[1] == pytest.approx((3e4 * 0.95, 0.95, 2), rel=1e-3)
    assert state[2] == pytest.approx((2 * 3e4 * 0.95, 0.45, 2), rel=1e-3)
    assert state[3][1:] == pytest.approx((-0.05, 2), rel=1e-2)
    assert state[4] == pytest.approx((-0.05e9, -0.05, 1), rel=1e-1)
    # A loss that is not scaled up and still has no finite gradient is lost.
    assert np.isfinite(state[5]).all()
    assert np.isnan(state[6][0])
    assert state[6][1:] == pytest.approx((state[5][1], 1))
    # What is left out counts as a step: the position in the input is the number of steps.
    assert int(optimizer.iterations) == 7


def test_the_loss_scale_is_restored(compute_in, tmp_path):
    def make():
        compute_in("float16")
        model = tf_keras.Sequential([tf_keras.layers.Dense(2, input_shape=[3])])
        optimizer = with_loss_scale(legacy.SGD(0.1, 0.9))
        create_slots(optimizer, model.trainable_variables)
        return (
            optimizer,
            Checkpoints(ModelDir(tmp_path), 1e9, model=model, optimizer=optimizer),
            model,
        )

    optimizer, checkpoints, model = make()
    variables = model.trainable_variables
    for gradient in (np.inf, 1.0, 1.0):
        optimizer.apply_gradients([(tf.fill(v.shape, gradient), v) for v in variables])
    checkpoints.save()
    checkpoints.wait()
    restored, checkpoints, _ = make()
    checkpoints.restore()
    assert checkpoints.finished_steps == 3
    assert float(restored.loss_scale) == 2**14
    assert int(restored.dynamic_counter) == 2


def test_an_unknown_precision_is_a_user_error():
    with pytest.raises(
        UserError,
        match=r"configure_runtime\.mixed_precision: received 'float61'; did you mean float16",
    ):
        configure_runtime(mixed_precision="float61")


def test_a_search_in_half_precision_is_continued_in_it_and_evaluated_in_float32(
    colored_dataset, tmp_path
):
    skip_unless_computed("bfloat16")
    gin_text = TINY_SEARCH.format(dataset=colored_dataset)
    (tmp_path / "tiny.gin").write_text(gin_text + "Search.gradient_accumulation_steps = 2\n")
    folder = tmp_path / "run"

    def run(module, *arguments):
        flags = (f"--gin_file={tmp_path / 'tiny.gin'}", f"--model_dir={folder}")
        return run_command(module, *flags, *arguments)

    done = run("auto_deeplab.trials", "--seeds=3", "--mixed_precision=bfloat16")
    assert done.returncode == 0, done.stderr
    folder = folder / "seed_3"
    config = (folder / "config.gin").read_text()
    assert "configure_runtime.mixed_precision = 'bfloat16'\n" in config
    done = run("auto_deeplab.train", "--mixed_precision=float16", "--gin_param=Search.seed = 3")
    assert done.returncode == 1
    assert re.search(
        r"another configuration:\n.*\n.*\n-.*mixed_precision = 'bfloat16'\n"
        r"\+.*mixed_precision = 'float16'\n",
        done.stderr,
    )
    trained = load_trained(folder)
    assert trained.model.compute_dtype == "float32"
    images, _ = make_batch(33)
    logits = trained.model(images, training=False)
    assert np.isfinite(logits).all()
    kinds = {
        operation.outputs[0].dtype
        for operation in all_operations(
            tf.function(trained.model).get_concrete_function(images).graph
        )
        if operation.type == "Conv2D"
    }
    assert kinds == {tf.float32}
