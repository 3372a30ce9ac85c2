"""The updates of a search by single paths, and whole searches of that kind."""

import gin
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras.optimizers import legacy

from auto_deeplab.data.pipeline import open_records
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.supernet.single_path import SinglePaths, single_path_logits
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.search_space import Genotype, read_history
from auto_deeplab.training import path_search_model
from auto_deeplab.training.job import configured_job
from auto_deeplab.training.optimization.loss import cross_entropy
from auto_deeplab.training.optimization.policy_gradient import policy_gradient
from auto_deeplab.training.path_search_model import PathSearchModel
from auto_deeplab.training.search import Search
from auto_deeplab.training.shared_weights import evaluate_with_shared_weights
from auto_deeplab.training.trained import load_trained
from tests.helpers import skip_unless_computed
from tests.trainings import gradients_named, newest_values

RATE, DECAY, ARCHITECTURE_RATE, ARCHITECTURE_DECAY = 0.1, 3e-4, 0.01, 1e-3


def make_batch(seed):
    generator = np.random.default_rng(seed)
    images = generator.normal(size=[2, 33, 33, 3]).astype(np.float32)
    labels = generator.integers(0, 3, [2, 33, 33]).astype(np.int32)
    labels[:, :4] = 255
    return tf.constant(images), tf.constant(labels)


def values_of(variables):
    return [variable.numpy() for variable in variables]


@pytest.fixture
def make_model(make_supernet):
    def make(**settings):
        model = PathSearchModel(
            make_supernet(), 255, DECAY, ARCHITECTURE_DECAY, **{"samples": 3} | settings
        )
        model.compile(legacy.SGD(RATE, 0.9), legacy.Adam(ARCHITECTURE_RATE))
        return model

    return make


def test_an_update_of_the_weights_descends_the_gradient_of_the_drawn_architecture(make_model):
    model, (images, labels) = make_model(), make_batch(0)
    supernet = model.supernet
    start = values_of(supernet.variables)
    loss = model.update_network(images, labels)
    (genotype,) = model.drawn["loss"]
    updated = values_of(supernet.variables)
    for variable, value in zip(supernet.variables, start, strict=True):
        variable.assign(value)
    # All that the tape sees: the whole kernels, and not what was read of them.
    with tf.GradientTape() as tape:
        expected = cross_entropy(labels, single_path_logits(supernet, images, genotype), 255)
    gradients = tape.gradient(
        expected, supernet.network_variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)
    of_variable = {
        id(variable): tf.convert_to_tensor(gradient).numpy()
        for variable, gradient in zip(supernet.network_variables, gradients, strict=True)
    }
    path = SinglePaths(supernet).path(genotype)
    read = {id(variable): np.ones(variable.shape, bool) for variable in path.variables}
    for layer in path.layers:
        kernels = layer.kernels
        mask = read.setdefault(id(kernels.variable), np.zeros(kernels.variable.shape, bool))
        mask[tuple(kernels.places.T)] = True
    for variable, before, after in zip(supernet.variables, start, updated, strict=True):
        if id(variable) in read:
            change = -RATE * (of_variable[id(variable)] + DECAY * before)
            change = np.where(read[id(variable)], change, 0)
            np.testing.assert_allclose(after - before, change, rtol=1e-3, atol=1e-6)
            assert change.any()
        else:
            np.testing.assert_array_equal(after, before)
    assert int(model.network_optimizer.iterations) == 1
    assert int(model.architecture_optimizer.iterations) == 0


def test_an_update_of_the_architecture_follows_the_drawn_losses(make_model):
    model, (images, labels) = make_model(), make_batch(1)
    supernet, distribution = model.supernet, model.distribution()
    network = values_of(supernet.network_variables + supernet.non_trainable_variables)
    start = values_of(supernet.architecture_variables)
    loss = model.update_architecture(images, labels)
    genotypes = model.drawn["architecture_loss"]
    assert len({(genotype.network, genotype.cell) for genotype in genotypes}) > 1
    losses = [
        float(cross_entropy(labels, single_path_logits(supernet, images, genotype), 255))
        for genotype in genotypes
    ]
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-5)
    estimate = policy_gradient(distribution, genotypes, losses)
    for before, after, gradient in zip(
        start, values_of(supernet.architecture_variables), estimate, strict=True
    ):
        # Adam's first step: its moments are the gradient itself.
        gradient = gradient + ARCHITECTURE_DECAY * before
        step = ARCHITECTURE_RATE * gradient / (np.abs(gradient) + 1e-7 / np.sqrt(1e-3))
        np.testing.assert_allclose(after, before - step, atol=1e-3)
    for value, kept in zip(
        values_of(supernet.network_variables + supernet.non_trainable_variables),
        network,
        strict=True,
    ):
        np.testing.assert_array_equal(value, kept)


def test_what_is_drawn_depends_on_seed_and_step(make_model):
    def draws(seed):
        model = make_model(seed=seed)
        found = []
        for _ in range(3):
            model.update_network(*make_batch(2))
            found += model.drawn["loss"]
        return [(genotype.network, genotype.cell) for genotype in found]

    assert draws(0) == draws(0) != draws(1)


def test_all_architectures_together_learn(make_model):
    model = make_model()
    images, _ = make_batch(3)
    labels = tf.cast(images[..., 0] > 0, tf.int32)
    losses = [float(model.update_network(images, labels)) for _ in range(40)]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])


def test_in_bfloat16_weights_and_losses_stay_float32(make_model):
    skip_unless_computed("bfloat16")
    images, labels = make_batch(4)
    expected = make_model().update_network(images, labels)
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = make_model()
        features = model.paths.stem(images).features
        loss = model.update_network(images, labels)
        model.update_architecture(images, labels)
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    assert features.dtype == tf.bfloat16
    assert loss.dtype == tf.float32
    assert float(loss) == pytest.approx(float(expected), rel=0.1)
    assert {variable.dtype for variable in model.supernet.variables} == {tf.float32}
    assert all(np.isfinite(value).all() for value in values_of(model.supernet.variables))


PATHS = (
    "Search.sampling = 'path'",
    "Search.path_samples = 2",
    "Search.checkpoint_minutes = 0",
    # It remembers more than SGD does, which has to be there when a search goes on.
    "Search.network_optimizer = 'adam'",
    "Search.network_learning_rate = 0.005",
)


def search(folder):
    model_dir = ModelDir(folder)
    configured_job().train(model_dir, tf.distribute.get_strategy())
    # Nothing was asked for a value later than the values in effect were kept.
    assert model_dir.config.read_text() == gin.operative_config_str()


class Interruption(Exception):
    """Stands for whatever ends a process."""


def test_an_interrupted_search_ends_as_if_it_had_not_been(
    configure_search, tmp_path, colored_dataset, monkeypatch
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    configure_search(*PATHS)
    search(whole)
    train_step = PathSearchModel.train_step

    def interrupted_step(self, data):
        if self.network_optimizer.iterations == 3:
            raise Interruption
        return train_step(self, data)

    def diverging_step(self, data):
        if self.network_optimizer.iterations == 11:
            kernel = self.supernet.stem[0].kernel
            kernel.assign(kernel * np.inf)
        return train_step(self, data)

    configure_search(*PATHS)
    with monkeypatch.context() as patch:
        patch.setattr(PathSearchModel, "train_step", interrupted_step)
        with pytest.raises(Interruption):
            search(parts)

    # A loss that is not finite ends it, too, and can be gone on from.
    configure_search(*PATHS)
    with monkeypatch.context() as patch:
        patch.setattr(PathSearchModel, "train_step", diverging_step)
        with pytest.raises(UserError) as refusal:
            search(parts)
    message = str(refusal.value)
    assert message.startswith("step 12: loss is nan\nThe checkpoint of step 11 is kept.")
    norms = gradients_named(message)
    assert 0 < norms[-1] <= norms[0] < np.inf

    configure_search(*PATHS)
    search(parts)
    (step, values), (_, expected) = newest_values(parts), newest_values(whole)
    assert step == 15
    assert values.keys() == expected.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    genotypes = [Genotype.load(str(run / "genotype.json")) for run in (whole, parts)]
    assert genotypes[0].cell == genotypes[1].cell

    # What it leaves: the metrics are those of what is decoded.
    metrics = ModelDir(whole).read_metrics()
    assert ["architecture_loss" in line for line in metrics] == [False, True, True]
    assert metrics[-1]["loss"] < metrics[0]["loss"]
    warm, *_, end = (entry.relaxation for entry in read_history(whole / "architecture.jsonl"))
    assert np.abs(warm.alpha).max() < 0.01 < np.abs(end.alpha).max()
    with pytest.raises(UserError, match="has trained single architectures and not the whole"):
        load_trained(whole)
    supernet = load_trained(whole, predicts=False).model
    matrix = evaluate_with_shared_weights(
        supernet, genotypes[0], open_records(str(colored_dataset), "val"), batch_size=1
    )
    assert metrics[-1]["val_mean_iou"] == matrix.mean_iou
    assert metrics[-1]["val_pixel_accuracy"] == matrix.pixel_accuracy
    assert not any("decoded" in name for name in metrics[-1])


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("Search.jit_compile = True", "Search.jit_compile: received True with Search.sampling"),
        (
            "Search.gradient_accumulation_steps = 2",
            "Search.gradient_accumulation_steps: received 2 with Search.sampling = 'path'",
        ),
        ("Search.auxiliary_skip = 0.5", "Search.auxiliary_skip: received 0.5 with Search.sampling"),
    ],
)
def test_what_single_paths_cannot_do_is_refused(configure_search, tmp_path, parameter, message):
    configure_search(*PATHS, "Search.batch_size = 2", parameter)
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        search(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_architecture_is_nothing_to_compare(configure_search):
    with pytest.raises(UserError, match=r"Search\.path_samples: received 1; expected"):
        configure_search(*PATHS, "Search.path_samples = 1")


def test_several_replicas_and_float16_are_refused(monkeypatch):
    class TwoReplicas:
        num_replicas_in_sync = 2

    search = Search(dataset="somewhere", sampling="path")

    with pytest.raises(UserError, match="'path' on 2 replicas; expected one replica"):
        path_search_model.check_path_sampling(TwoReplicas(), search)
    policy = tf_keras.mixed_precision.Policy("mixed_float16")
    monkeypatch.setattr(path_search_model.tf_keras.mixed_precision, "global_policy", lambda: policy)
    with pytest.raises(UserError, match="'path' in float16"):
        path_search_model.check_path_sampling(tf.distribute.get_strategy(), search)
