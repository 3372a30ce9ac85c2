import numpy as np
import pytest
import tensorflow as tf
from tf_keras.optimizers import legacy

from auto_deeplab.training.optimization.update import update

TARGETS = {"decayed": np.array([1.0, -2.0]), "free": np.array([0.5])}
STARTS = {"decayed": np.array([3.0, 1.0]), "free": np.array([-1.0])}


def quadratic(variables):
    """Its gradient is value - target."""
    return tf.add_n(
        [tf.reduce_sum((v - TARGETS[v.name.split(":")[0]]) ** 2) / 2 for v in variables]
    )


def run_updates(optimizer, weight_decay, steps):
    """Returns the losses and, after each step, the variables."""
    variables = [tf.Variable(start, name=name, dtype=tf.float64) for name, start in STARTS.items()]
    losses, values = [], []
    for _ in range(steps):
        loss = update(
            lambda part: quadratic(variables),
            variables,
            optimizer,
            weight_decay,
            decayed=lambda variable: variable.name == "decayed:0",
        )
        losses.append(float(loss))
        values.append([variable.numpy() for variable in variables])
    return losses, values


def expected_loss(values):
    pairs = zip(values, TARGETS.values(), strict=True)
    return sum(np.sum((value - target) ** 2) / 2 for value, target in pairs)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_momentum_descent_with_coupled_decay(weight_decay):
    rate, momentum = 0.3, 0.9
    losses, values = run_updates(legacy.SGD(rate, momentum), weight_decay, steps=2)
    current = [start.copy() for start in STARTS.values()]
    velocity = [np.zeros_like(start) for start in current]
    decays = [weight_decay, 0.0]
    for step in range(2):
        np.testing.assert_allclose(losses[step], expected_loss(current), rtol=1e-5)
        for index, target in enumerate(TARGETS.values()):
            gradient = current[index] - target + decays[index] * current[index]
            velocity[index] = momentum * velocity[index] - rate * gradient
            current[index] = current[index] + velocity[index]
            np.testing.assert_allclose(values[step][index], current[index], rtol=1e-5)


def test_adam_with_coupled_decay():
    rate, beta_1, beta_2, epsilon, weight_decay = 0.1, 0.9, 0.999, 1e-7, 0.1
    losses, values = run_updates(legacy.Adam(rate, beta_1, beta_2, epsilon), weight_decay, steps=2)
    current = [start.copy() for start in STARTS.values()]
    first, second = ([np.zeros_like(start) for start in current] for _ in range(2))
    decays = [weight_decay, 0.0]
    for step in range(2):
        np.testing.assert_allclose(losses[step], expected_loss(current), rtol=1e-5)
        # Kingma & Ba, end of section 2.
        scale = rate * np.sqrt(1 - beta_2 ** (step + 1)) / (1 - beta_1 ** (step + 1))
        for index, target in enumerate(TARGETS.values()):
            gradient = current[index] - target + decays[index] * current[index]
            first[index] = beta_1 * first[index] + (1 - beta_1) * gradient
            second[index] = beta_2 * second[index] + (1 - beta_2) * gradient**2
            current[index] = current[index] - scale * first[index] / (
                np.sqrt(second[index]) + epsilon
            )
            np.testing.assert_allclose(values[step][index], current[index], rtol=1e-5)


def test_only_the_given_variables_are_differentiated_and_changed():
    given, other = tf.Variable(2.0), tf.Variable(3.0)
    loss = update(lambda part: given * other, [given], legacy.SGD(0.5), weight_decay=0.0)
    assert (float(loss), float(given), float(other)) == (6.0, 0.5, 3.0)


@pytest.mark.parametrize(("clip_norm", "factor"), [(2.5, 0.5), (5.0, 1.0), (100.0, 1.0)])
def test_all_gradients_together_are_clipped_with_their_decay(clip_norm, factor):
    # The decayed one's gradient is 1 + 0.5 * 4 = 3, the other's 4: their norm is 5.
    decayed, free = tf.Variable(4.0), tf.Variable(1.0)
    update(
        lambda part: decayed + 4 * free,
        [decayed, free],
        legacy.SGD(1.0),
        weight_decay=0.5,
        decayed=lambda variable: variable is decayed,
        clip_norm=clip_norm,
    )
    np.testing.assert_allclose([decayed, free], [4 - 3 * factor, 1 - 4 * factor])


def test_a_multiplier_is_one_of_sgds_learning_rate():
    """Two steps with momentum and decay, against a variable that has the rate for itself."""

    def descend(rate, multiplier):
        variable, other = tf.Variable(3.0), tf.Variable(3.0)
        optimizer = legacy.SGD(rate, momentum=0.9)
        for _ in range(2):
            update(
                lambda part: variable**2 + other**2,
                [variable, other],
                optimizer,
                weight_decay=0.1,
                multiplier=lambda v: multiplier if v is variable else 1.0,
            )
        return float(variable), float(other)

    multiplied, other = descend(0.05, 10.0)
    assert multiplied == pytest.approx(descend(0.5, 1.0)[0])
    assert other == pytest.approx(descend(0.05, 1.0)[0])


def test_the_gradient_of_a_penalty_joins_that_of_the_decay_before_all_are_clipped():
    """The penalized one's is 1 + 0.5 * 4 + 2 * 4 = 11; the other's, which the penalty lacks, 4."""
    penalized, free = tf.Variable(4.0), tf.Variable(1.0)
    loss = update(
        lambda part: penalized + 4 * free,
        [penalized, free],
        legacy.SGD(0.1),
        weight_decay=0.5,
        decayed=lambda variable: variable is penalized,
        penalty=lambda: penalized**2,
        clip_norm=np.hypot(11, 4) / 2,
    )
    assert float(loss) == 8
    np.testing.assert_allclose([penalized, free], [4 - 0.1 * 11 / 2, 1 - 0.1 * 4 / 2], rtol=1e-6)
