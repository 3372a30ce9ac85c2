"""A partial update against Keras's own of a variable that consists of those numbers alone."""

import numpy as np
import pytest
import tensorflow as tf
from tf_keras.optimizers import legacy

from auto_deeplab.training.optimization import schedules
from auto_deeplab.training.optimization.partial_update import PartialAdam, descend_partially
from auto_deeplab.training.optimization.update import create_slots

DECAY = 0.01


def make_sgd(schedule):
    return legacy.SGD(schedule, 0.9)


@pytest.mark.parametrize(
    ("make", "make_reference"), [(make_sgd, make_sgd), (PartialAdam, legacy.Adam)]
)
def test_it_is_the_update_of_those_numbers_and_of_no_others(make, make_reference):
    generator = np.random.default_rng(0)
    start = generator.normal(size=[3, 5]).astype(np.float32)
    places = np.array([[1, 4], [0, 2], [1, 0]], np.int32)
    whole, part = tf.Variable(start), tf.Variable(start[tuple(places.T)])
    schedule = schedules.cosine(0.1, 0.01, 5)
    optimizer, reference = make(schedule), make_reference(schedule)
    create_slots(optimizer, [whole])
    for step in range(4):
        gradient = tf.constant(generator.normal(size=3), tf.float32)
        optimizer.iterations.assign(step)
        values = whole.gather_nd(places)
        descend_partially(optimizer, whole, places, values, gradient, DECAY)
        reference.apply_gradients([(gradient + DECAY * part, part)])
    changed = whole.numpy()
    np.testing.assert_allclose(changed[tuple(places.T)], part, rtol=1e-5)
    others = np.ones(start.shape, bool)
    others[tuple(places.T)] = False
    np.testing.assert_array_equal(changed[others], start[others])
    for name in reference.get_slot_names():
        slot = optimizer.get_slot(whole, name).numpy()
        expected = reference.get_slot(part, name)
        np.testing.assert_allclose(slot[tuple(places.T)], expected, rtol=1e-5, err_msg=name)
        assert not slot[others].any()


def test_adam_corrects_by_the_updates_of_each_number():
    """A number that is drawn late moves as the first one did in its own first steps."""
    variable, alone = tf.Variable([[0.0, 0.0]]), tf.Variable([0.0])
    optimizer, reference = PartialAdam(0.1), legacy.Adam(0.1)
    create_slots(optimizer, [variable])
    gradients = [1.0, -3.0, 2.0]

    def descend(place, gradient):
        places = np.array([[0, place]], np.int32)
        values = variable.gather_nd(places)
        descend_partially(optimizer, variable, places, values, tf.constant([gradient]), 0.0)
        optimizer.iterations.assign_add(1)

    for _ in range(5):
        descend(0, 7.0)
    for gradient in gradients:
        descend(1, gradient)
        reference.apply_gradients([(tf.constant([gradient]), alone)])
    np.testing.assert_allclose(variable.numpy()[0, 1], alone.numpy()[0], rtol=1e-5)


def test_velocity_waits_for_the_next_time_that_a_number_takes_part():
    variable = tf.Variable([[1.0, 1.0]])
    optimizer = legacy.SGD(0.5, 0.9)
    create_slots(optimizer, [variable])
    for place, gradient in ((0, 1.0), (1, 1.0), (0, 0.0)):
        places = np.array([[0, place]], np.int32)
        values = variable.gather_nd(places)
        descend_partially(optimizer, variable, places, values, tf.constant([gradient]), 0.0)
        if place:
            assert variable.numpy()[0, 0] == 0.5
    np.testing.assert_allclose(variable, [[0.5 - 0.45, 0.5]], rtol=1e-6)
