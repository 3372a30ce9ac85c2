"""The average of weights, against Model Garden's optimizer that keeps the same."""

import numpy as np
import tensorflow as tf
import tf_keras
from official.modeling.optimization.ema_optimizer import ExponentialMovingAverage
from tf_keras.optimizers import legacy

from auto_deeplab.training.optimization.weight_average import WeightAverage
from auto_deeplab.training.retrain_model import RetrainModel


def make_network():
    tf_keras.utils.set_random_seed(2)
    images = tf_keras.Input([None, None, 3])
    features = tf_keras.layers.Conv2D(4, 1)(images)
    features = tf_keras.layers.BatchNormalization(momentum=0.5)(features)
    return tf_keras.Model(images, tf_keras.layers.Conv2D(3, 1)(features))


def batches():
    rng = np.random.default_rng(0)
    images = rng.normal(size=[14, 5, 5, 3]).astype(np.float32)
    labels = rng.integers(0, 3, [14, 5, 5]).astype(np.int32)
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(2)


def test_is_model_gardens_average_and_what_the_model_predicts_with():
    network, averaged = make_network(), make_network()
    for weight in averaged.weights:
        # It begins as a copy, whatever it was.
        weight.assign(weight + 1.0)
    average = WeightAverage(network, averaged, decay=0.4)
    model = RetrainModel(network, total_steps=7, weight_decay=0.0, average=average)
    model.compile(legacy.SGD(0.1, 0.9))
    model.fit(batches(), verbose=0)

    theirs = make_network()
    optimizer = ExponentialMovingAverage(
        legacy.SGD(0.1, 0.9), average_decay=0.4, trainable_weights_only=False
    )
    optimizer.shadow_copy(theirs)
    slots = [optimizer.get_slot(weight, "average") for weight in theirs.weights]
    for slot, weight in zip(slots, theirs.weights, strict=True):
        slot.assign(weight)
    for images, labels in batches():
        with tf.GradientTape() as tape:
            losses = tf_keras.losses.sparse_categorical_crossentropy(
                labels, theirs(images, training=True), from_logits=True
            )
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, theirs.trainable_variables)
        optimizer.apply_gradients(zip(gradients, theirs.trainable_variables, strict=True))

    for weight, expected in zip(network.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-5)
    for weight, slot in zip(averaged.weights, slots, strict=True):
        np.testing.assert_allclose(weight, slot, rtol=1e-4, atol=1e-5)
    images = next(iter(batches()))[0]
    np.testing.assert_array_equal(model(images), averaged(images, training=False))
    assert np.abs(averaged(images) - network(images)).max() > 1e-4
