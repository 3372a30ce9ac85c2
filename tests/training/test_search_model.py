import numpy as np
import pytest
import tensorflow as tf
from tf_keras.optimizers import legacy

from auto_deeplab.training.optimization.architecture_penalties import ArchitecturePenalties
from auto_deeplab.training.optimization.loss import cross_entropy
from auto_deeplab.training.search_model import SearchModel

NETWORK_DECAY, ARCHITECTURE_DECAY = 3e-4, 1e-3


def make_batch(seed):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=[2, 33, 33, 3]).astype(np.float32)
    labels = rng.integers(0, 3, [2, 33, 33]).astype(np.int32)
    labels[:, :4] = 255
    return tf.constant(images), tf.constant(labels)


def values_of(variables):
    return [variable.numpy() for variable in variables]


def same(values, others):
    return [np.array_equal(a, b) for a, b in zip(values, others, strict=True)]


@pytest.fixture
def make_model(make_supernet):
    def make(rate=0.1, architecture_rate=0.01, **flags):
        model = SearchModel(make_supernet(), 255, NETWORK_DECAY, ARCHITECTURE_DECAY)
        model.compile(legacy.SGD(rate, 0.9), legacy.Adam(architecture_rate), **flags)
        return model

    return make


def test_warm_up_costs_nothing_and_the_alternation_follows(make_model, monkeypatch):
    """One model through both phases, since building its updates is what takes long."""
    traced = []
    for half in ("update_network", "update_architecture"):
        original = getattr(SearchModel, half)

        def noted(self, images, labels, half=half, original=original):
            traced.append(half)
            return original(self, images, labels)

        monkeypatch.setattr(SearchModel, half, noted)
    model = make_model()
    supernet = model.supernet
    start = values_of(supernet.architecture_variables), values_of(supernet.network_variables)

    warm_up = tf.data.Dataset.from_tensors({"network": make_batch(0)}).repeat(3)
    history = model.fit(warm_up, verbose=0).history
    assert traced == ["update_network"]
    assert list(history) == ["loss"]
    assert all(same(start[0], values_of(supernet.architecture_variables)))
    assert not any(same(start[1], values_of(supernet.network_variables)))
    assert int(model.network_optimizer.iterations) == 3
    assert int(model.architecture_optimizer.iterations) == 0
    moments = model.architecture_optimizer.get_slot(supernet.alpha, "m")
    assert not moments.numpy().any()

    both = tf.data.Dataset.from_tensors(
        {"network": make_batch(1), "architecture": make_batch(2)}
    ).repeat(2)
    history = model.fit(both, verbose=0).history
    assert traced == ["update_network", "update_architecture"]
    assert sorted(history) == ["architecture_loss", "loss"]
    assert not any(same(start[0], values_of(supernet.architecture_variables)))
    assert int(model.network_optimizer.iterations) == 5
    assert int(model.architecture_optimizer.iterations) == 2
    assert moments.numpy().all()


def gradients(supernet, variables, batch):
    """Of the loss alone, without what the updates freeze."""
    images, labels = batch

    @tf.function(autograph=False)
    def run():
        with tf.GradientTape() as tape:
            loss = cross_entropy(labels, supernet(images, training=True), 255)
        return loss, tape.gradient(loss, variables)

    loss, of_variables = run()
    return float(loss), [gradient.numpy() for gradient in of_variables]


def test_each_update_changes_its_half_alone(make_model):
    rate, architecture_rate = 0.1, 0.01
    model = make_model(rate, architecture_rate)
    supernet, batch = model.supernet, make_batch(3)
    network, architecture = supernet.network_variables, supernet.architecture_variables
    assert len(network) + len(architecture) == len(supernet.trainable_variables)
    start = values_of(network), values_of(architecture)
    expected, of_both = gradients(supernet, [*network, *architecture], batch)
    of_network, of_architecture = of_both[: len(network)], of_both[len(network) :]

    losses = tf.function(model.update_architecture, autograph=False)(*batch)
    assert float(losses) == pytest.approx(expected, rel=1e-5)
    assert all(same(start[0], values_of(network)))
    for before, after, gradient in zip(
        start[1], values_of(architecture), of_architecture, strict=True
    ):
        # Adam's first step: its moments are the gradient itself.
        gradient = gradient + ARCHITECTURE_DECAY * before
        step = architecture_rate * gradient / (np.abs(gradient) + 1e-7 / np.sqrt(1e-3))
        np.testing.assert_allclose(after, before - step, atol=2e-5)

    for variable, value in zip(architecture, start[1], strict=True):
        variable.assign(value)
    losses = tf.function(model.update_network, autograph=False)(*batch)
    assert float(losses) == pytest.approx(expected, rel=1e-5)
    assert all(same(start[1], values_of(architecture)))
    for before, after, gradient in zip(start[0], values_of(network), of_network, strict=True):
        step = rate * (gradient + NETWORK_DECAY * before)
        np.testing.assert_allclose(after, before - step, rtol=1e-4, atol=1e-5)


def test_penalties_join_the_update_of_the_architecture_alone(make_supernet):
    """With SGD they move alpha by their own gradient, whatever the loss does."""
    batch, weight = make_batch(4), 0.25
    moved = []
    for names in ((), ("logsumexp_weight",)):
        supernet = make_supernet()
        penalties = ArchitecturePenalties(lambda supernet=supernet: supernet.alpha, names)
        for variable in penalties.weights.values():
            variable.assign(weight)
        model = SearchModel(supernet, architecture_penalty=penalties or None)
        model.compile(legacy.SGD(0.1), legacy.SGD(1.0))
        start = supernet.alpha.numpy()
        model.run_architecture_update(*batch)
        moved.append((supernet.alpha.numpy(), supernet.beta.numpy()))
        model.run_network_update(*batch)
        np.testing.assert_array_equal(supernet.alpha.numpy(), moved[-1][0])
    (plain, beta), (penalized, other_beta) = moved
    np.testing.assert_allclose(beta, other_beta, atol=1e-6)
    softmax = np.exp(start) / np.exp(start).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(plain - penalized, weight * softmax / len(start), atol=1e-5)
