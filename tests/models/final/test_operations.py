"""Layers in order: what `tf_keras.Sequential` computes and saves, under its names."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.models.final.operations import LayerSequence


def layers():
    return [
        tf_keras.layers.ReLU(),
        tf_keras.layers.SeparableConv2D(4, 3, use_bias=False),
        tf_keras.layers.BatchNormalization(momentum=0.5),
        tf_keras.layers.ReLU(),
        tf_keras.layers.Conv2D(5, 1),
    ]


@pytest.mark.parametrize(
    ("saved", "read"),
    [(tf_keras.Sequential, LayerSequence), (LayerSequence, tf_keras.Sequential)],
)
def test_checkpoints_of_either_are_read_by_the_other(saved, read, tmp_path):
    images = tf.random.stateless_normal([2, 9, 12, 3], [1, 2])
    first, second = saved(layers()), read(layers())
    for each in (first, second):
        each(images, training=True)
    assert [w.shape for w in first.trainable_weights] == [w.shape for w in second.trainable_weights]
    # Of the outer module as well: a sequence is always within something.
    paths = [
        tf.train.Checkpoint(cell=each).write(str(tmp_path / str(index)))
        for index, each in enumerate((first, second))
    ]
    names = [[name for name, _ in tf.train.list_variables(path)] for path in paths]
    assert names[0] == names[1]
    restored = tf.train.Checkpoint(cell=second).read(paths[0])
    restored.assert_consumed()
    restored.assert_existing_objects_matched()
    for training in (False, True):
        np.testing.assert_array_equal(
            second(images, training=training), first(images, training=training)
        )


def test_an_outer_layers_training_reaches_batch_norm():
    sequence = LayerSequence([LayerSequence([tf_keras.layers.BatchNormalization(momentum=0.5)])])
    images = tf.ones([1, 2, 2, 1])
    sequence(images)
    norm = next(m for m in sequence.submodules if isinstance(m, tf_keras.layers.BatchNormalization))
    assert norm.moving_mean.numpy() == [0.0]
    sequence(images, training=True)
    assert norm.moving_mean.numpy() == [0.5]


def test_a_checkpoint_is_read_before_the_variables_are_made(tmp_path):
    images = tf.random.stateless_normal([2, 9, 12, 3], [1, 2])
    first, second = LayerSequence(layers()), LayerSequence(layers())
    expected = first(images)
    path = tf.train.Checkpoint(cell=first).write(str(tmp_path / "checkpoint"))
    restored = tf.train.Checkpoint(cell=second).read(path)
    np.testing.assert_array_equal(second(images), expected)
    restored.assert_consumed()
