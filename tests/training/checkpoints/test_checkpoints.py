import errno
import shutil
import threading

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras.optimizers import legacy

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.training.checkpoints.checkpoints import Checkpoints, NotFiniteError, load_weights
from auto_deeplab.training.checkpoints.files import CheckpointFiles, Content
from auto_deeplab.training.optimization.update import create_slots


def make_training(folder, units=2, every_seconds=1e9, kept=3):
    """Returns a linear model, compiled, and its checkpoints."""
    model = tf_keras.Sequential([tf_keras.layers.Dense(units, input_shape=[3])])
    model.compile(legacy.SGD(0.1, 0.9), "mse")
    create_slots(model.optimizer, model.trainable_variables)
    checkpoints = Checkpoints(
        ModelDir(folder), every_seconds, kept, model=model, optimizer=model.optimizer
    )
    return model, checkpoints


def train(model, steps, units=2):
    rng = np.random.default_rng(0)
    data = tf.data.Dataset.from_tensors(
        (rng.normal(size=[4, 3]).astype(np.float32), np.ones([4, units], np.float32))
    )
    model.fit(data.repeat(), steps_per_epoch=steps, verbose=0)


def save(checkpoints, notes=None):
    checkpoints.save(notes)
    checkpoints.wait()


def steps(folder):
    return CheckpointFiles(folder / "checkpoints").steps()


def test_restores_weights_optimizer_step_and_notes(tmp_path):
    uninterrupted, _ = make_training(tmp_path / "other")
    weights = uninterrupted.get_weights()
    train(uninterrupted, 7)

    model, checkpoints = make_training(tmp_path)
    assert checkpoints.restore() == {}
    assert checkpoints.finished_steps == 0
    model.set_weights(weights)
    train(model, 4)
    notes = {"epoch": {"steps": 4, "sums": {"loss": 0.1}, "seconds": 2.5}}
    save(checkpoints, notes)
    assert steps(tmp_path) == [4]

    model, checkpoints = make_training(tmp_path)
    assert checkpoints.restore() == notes
    assert checkpoints.finished_steps == 4
    train(model, 3)
    # The same weights prove that the momentum came back too.
    for restored, expected in zip(model.get_weights(), uninterrupted.get_weights(), strict=True):
        np.testing.assert_array_equal(restored, expected)


def test_what_is_saved_is_of_the_moment_of_the_call(tmp_path, monkeypatch):
    """The thread may write when training has long gone on."""
    started, go_on = threading.Event(), threading.Event()
    write = CheckpointFiles.write

    def slow_write(self, *arguments):
        started.set()
        assert go_on.wait(60)
        write(self, *arguments)

    monkeypatch.setattr(CheckpointFiles, "write", slow_write)
    model, checkpoints = make_training(tmp_path)
    train(model, 1)
    expected = model.get_weights()
    checkpoints.save()
    assert started.wait(60)
    train(model, 1)
    assert steps(tmp_path) == []
    go_on.set()
    checkpoints.wait()
    restored, checkpoints = make_training(tmp_path)
    checkpoints.restore()
    for value, expected_value in zip(restored.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(value, expected_value)


def test_a_step_is_saved_once(tmp_path):
    model, checkpoints = make_training(tmp_path)
    train(model, 2)
    save(checkpoints)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").iterdir()}
    save(checkpoints)
    model, checkpoints = make_training(tmp_path)
    checkpoints.restore()
    save(checkpoints)
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").iterdir()}


def test_the_newest_and_the_best_are_kept(tmp_path):
    model, checkpoints = make_training(tmp_path, kept=2)
    for score in (0.25, 0.75, 0.5, 0.75, None):
        train(model, 1)
        save(checkpoints)
        save(checkpoints, {"val_mean_iou": score} if score else {})
    assert steps(tmp_path) == [2, 4, 5]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == sorted(
        f"step-{step}.{ending}"
        for step in (2, 4, 5)
        for ending in ("json", "index", "data-00000-of-00001")
    )
    assert load_weights(model, ModelDir(tmp_path), "best") == 2
    assert load_weights(model, ModelDir(tmp_path)) == 5
    with pytest.raises(UserError, match="checkpoint: received 'first'; expected 'latest' or"):
        load_weights(model, ModelDir(tmp_path), "first")


@pytest.mark.parametrize(
    "damage",
    ["torn", "changed", "removed", "no manifest", "bad manifest", "other digit", "deep"],
)
def test_a_damaged_checkpoint_is_passed_over(tmp_path, damage, caplog):
    model, checkpoints = make_training(tmp_path)
    for _ in range(2):
        train(model, 1)
        save(checkpoints, {"epoch": {"steps": 1, "sums": {"loss": 0.5}, "seconds": 2.5}})
    folder = tmp_path / "checkpoints"
    data, manifest = folder / "step-2.data-00000-of-00001", folder / "step-2.json"
    content = data.read_bytes()
    if damage == "torn":
        data.write_bytes(content[:10])
    elif damage == "changed":
        data.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "removed":
        data.unlink()
    elif damage == "no manifest":
        manifest.unlink()
    elif damage == "other digit":
        manifest.write_text(manifest.read_text().replace('"seconds": 2.5', '"seconds": 2.6'))
    elif damage == "deep":
        manifest.write_text("[" * 100_000)
    else:
        manifest.write_text(manifest.read_text()[:40])
    model, checkpoints = make_training(tmp_path)
    checkpoints.restore()
    assert checkpoints.finished_steps == 1
    # What has no manifest never was a checkpoint: there is nothing to say.
    if damage != "no manifest":
        assert "step-2" in caplog.text
        assert "going back to the checkpoint of step 1" in caplog.text
    train(model, 1)
    save(checkpoints)
    assert CheckpointFiles(folder).newest()[0].step == 2


def test_nothing_whole_is_an_error(tmp_path):
    model, checkpoints = make_training(tmp_path)
    train(model, 1)
    save(checkpoints)
    data = tmp_path / "checkpoints" / "step-1.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:10])
    model, checkpoints = make_training(tmp_path)
    for load in (checkpoints.restore, lambda: load_weights(model, ModelDir(tmp_path))):
        with pytest.raises(UserError, match=r"no checkpoint is whole:\n.*step-1.*is torn"):
            load()
    assert data.exists()


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    model, checkpoints = make_training(tmp_path)
    train(model, 1)
    save(checkpoints)
    train(model, 1)
    model.layers[0].bias.assign([np.inf, 0])
    with pytest.raises(NotFiniteError, match=r"step 2: 1 of \d variables are .*bias"):
        checkpoints.save()
    assert steps(tmp_path) == [1]


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    model, checkpoints = make_training(tmp_path)
    train(model, 1)
    save(checkpoints)
    train(model, 1)
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=77))
        checkpoints.save()
        with pytest.raises(
            UserError,
            match=r"received 77 free bytes; expected [\d,]+; the checkpoint of step 1 is kept",
        ):
            checkpoints.wait()
    _, checkpoints = make_training(tmp_path)
    checkpoints.restore()
    assert checkpoints.finished_steps == 1


def test_a_disk_that_fills_while_it_is_written_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    files = CheckpointFiles(tmp_path)
    files.write(1, {".data": Content(3, [b"abc"])}, {})

    def filling():
        yield b"ab"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(
        UserError, match=r"received [\d,]+ free bytes; expected 3; the checkpoint of"
    ):
        files.write(2, {".data": Content(3, filling())}, {})
    assert files.newest()[0].step == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-1.data", "step-1.json"]


def test_a_manifest_names_no_file_elsewhere(tmp_path):
    files = CheckpointFiles(tmp_path)
    files.write(1, {".data": Content(3, [b"abc"])}, {})
    manifest = tmp_path / "step-1.json"
    manifest.write_text(manifest.read_text().replace("step-1.data", "step-1.d/../../data"))
    with pytest.raises(UserError, match=r"step-1\.json: is no manifest: files: received"):
        files.read(1)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    model, checkpoints = make_training(tmp_path)
    train(model, 1)
    save(checkpoints)
    other, checkpoints = make_training(tmp_path, units=5)
    for load in (checkpoints.restore, lambda: load_weights(other, ModelDir(tmp_path))):
        with pytest.raises(UserError, match=r"step-1: does not fit the model that is configured"):
            load()
    deeper = tf_keras.Sequential([model.layers[0], tf_keras.layers.Dense(2, input_shape=[2])])
    with pytest.raises(UserError, match="does not fit"):
        load_weights(deeper, ModelDir(tmp_path))


def test_checkpoints_of_an_earlier_version_are_read_but_not_continued(tmp_path, caplog):
    model, checkpoints = make_training(tmp_path)
    train(model, 1)
    tf.train.CheckpointManager(
        tf.train.Checkpoint(model=model, optimizer=model.optimizer),
        str(tmp_path / "checkpoints"),
        1,
        checkpoint_name="step",
    ).save(checkpoint_number=1)
    with pytest.raises(UserError, match="have no manifests"):
        checkpoints.restore()
    other, _ = make_training(tmp_path)
    assert load_weights(other, ModelDir(tmp_path)) == 1
    assert "has no manifest" in caplog.text
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_weights_of_no_training(tmp_path):
    model, _ = make_training(tmp_path)
    with pytest.raises(UserError, match="holds no checkpoint; expected"):
        load_weights(model, ModelDir(tmp_path))
