import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras.optimizers import legacy

from auto_deeplab.errors import UserError
from auto_deeplab.training.checkpoints import Checkpoints, load_weights
from auto_deeplab.training.model_dir import ModelDir


def make_training(folder, units=2, every_seconds=1e9):
    """Returns a linear model, compiled, and its checkpoints."""
    model = tf_keras.Sequential([tf_keras.layers.Dense(units, input_shape=[3])])
    model.compile(legacy.SGD(0.1, 0.9), "mse")
    checkpoints = Checkpoints(
        ModelDir(folder), every_seconds, model=model, optimizer=model.optimizer
    )
    return model, checkpoints


def train(model, checkpoints, steps, units=2):
    rng = np.random.default_rng(0)
    data = tf.data.Dataset.from_tensors(
        (rng.normal(size=[4, 3]).astype(np.float32), np.ones([4, units], np.float32))
    )
    model.fit(data.repeat(), steps_per_epoch=steps, callbacks=[checkpoints], verbose=0)


def names(folder):
    return sorted(path.stem for path in (folder / "checkpoints").glob("*.index"))


def test_restores_weights_optimizer_and_step(tmp_path):
    uninterrupted, checkpoints = make_training(tmp_path / "other")
    weights = uninterrupted.get_weights()
    train(uninterrupted, checkpoints, 7)

    model, checkpoints = make_training(tmp_path)
    assert checkpoints.restore() == 0
    model.set_weights(weights)
    train(model, checkpoints, 4)
    assert checkpoints.finished_steps == 4
    checkpoints.save()
    assert names(tmp_path) == ["step-4"]

    model, checkpoints = make_training(tmp_path)
    assert checkpoints.restore() == 4
    train(model, checkpoints, 3)
    # The same weights prove that the momentum came back too.
    for restored, expected in zip(model.get_weights(), uninterrupted.get_weights(), strict=True):
        np.testing.assert_array_equal(restored, expected)


def test_a_step_is_saved_once(tmp_path):
    model, checkpoints = make_training(tmp_path)
    train(model, checkpoints, 2)
    checkpoints.save()
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").iterdir()}
    checkpoints.save()
    model, checkpoints = make_training(tmp_path)
    checkpoints.restore()
    checkpoints.save()
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").iterdir()}


@pytest.mark.parametrize(
    ("every_seconds", "expected"), [(0, ["step-2", "step-3", "step-4"]), (1e9, [])]
)
def test_saves_within_an_epoch_but_not_its_last_step(tmp_path, every_seconds, expected):
    model, checkpoints = make_training(tmp_path, every_seconds=every_seconds)
    train(model, checkpoints, 5)
    assert names(tmp_path) == expected


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    model, checkpoints = make_training(tmp_path)
    train(model, checkpoints, 1)
    checkpoints.save()
    other, checkpoints = make_training(tmp_path, units=5)
    for load in (checkpoints.restore, lambda: load_weights(other, ModelDir(tmp_path))):
        with pytest.raises(UserError, match=r"step-1: does not fit the model that is configured"):
            load()
    deeper = tf_keras.Sequential([model.layers[0], tf_keras.layers.Dense(2, input_shape=[2])])
    with pytest.raises(UserError, match="does not fit"):
        load_weights(deeper, ModelDir(tmp_path))


def test_a_torn_checkpoint_is_reported(tmp_path):
    model, checkpoints = make_training(tmp_path)
    train(model, checkpoints, 1)
    checkpoints.save()
    data = tmp_path / "checkpoints" / "step-1.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:10])
    model, checkpoints = make_training(tmp_path)
    with pytest.raises(UserError, match="step-1"):
        checkpoints.restore()


def test_weights_alone(tmp_path):
    model, checkpoints = make_training(tmp_path)
    train(model, checkpoints, 3)
    checkpoints.save()
    other, _ = make_training(tmp_path / "other")
    assert load_weights(other, ModelDir(tmp_path)) == 3
    for loaded, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, expected)


def test_weights_of_no_training(tmp_path):
    model, _ = make_training(tmp_path)
    with pytest.raises(UserError, match="holds no checkpoint; expected"):
        load_weights(model, ModelDir(tmp_path))
