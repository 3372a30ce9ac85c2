"""What a supernet loses without a part of its cell, against networks that lack that part."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.data.pipeline import evaluation_batches
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.runs.decode import decode_model_dir
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.search_space import Genotype, PerturbationEffects
from auto_deeplab.training.job import configured_job
from auto_deeplab.training.perturbation import measure_effects, measure_search
from tests.helpers import run_command

OPERATIONS = ("none", "skip", "sep_conv_3x3")


def mean_loss(supernet, records):
    """By Keras, of all pixels that count."""
    losses = []
    for images, labels in evaluation_batches(records):
        logits = supernet(images, training=False)
        counts = labels != records.description.ignore_label
        losses.append(
            tf_keras.losses.sparse_categorical_crossentropy(
                labels[counts], logits[counts], from_logits=True
            )
        )
    return float(tf.reduce_mean(tf.concat(losses, axis=0)))


def test_effects_are_differences_of_losses(colored_dataset):
    tf_keras.utils.set_random_seed(0)
    supernet = Supernet(3, layers=2, strides=(4,), blocks=1, filters=4, operations=OPERATIONS)
    supernet.alpha.assign(np.random.default_rng(0).normal(size=[2, 3]))
    records = SegmentationRecords(str(colored_dataset), "val")
    effects = measure_effects(supernet, records)
    plain = Supernet.operation_weights
    whole = mean_loss(supernet, records)
    for place in (*np.ndindex(2, 3), 0, 1):

        def without(self, alpha, place=place):
            weights = plain(self, alpha).numpy()
            weights[place] = 0
            return tf.constant(weights)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Supernet, "operation_weights", without)
            rise = mean_loss(supernet, records) - whole
        of_place = effects.edges if isinstance(place, int) else effects.operations
        assert of_place[place] == pytest.approx(rise, abs=1e-5)
    # Nothing is lost without what gives nothing, and something without what gives.
    np.testing.assert_allclose(effects.operations[:, 0], 0, atol=1e-6)
    assert np.abs(effects.operations[:, 1:]).max() > 1e-3


def test_a_search_is_decoded_by_what_its_supernet_loses(configure_search, tmp_path):
    configure_search("Search.epochs = 1", "Search.warm_up_epochs = 0")
    folder = tmp_path / "run"
    search = configured_job()
    search.train(ModelDir(folder), tf.distribute.get_strategy())
    result = run_command(
        "auto_deeplab.decode",
        *(f"--model_dir={folder}", "--by=perturbation", "--images=2"),
        f"--output={tmp_path / 'by_loss.json'}",
    )
    assert result.returncode == 0, result.stderr
    genotype = Genotype.load(tmp_path / "by_loss.json")
    effects = measure_search(folder, 2)
    found = genotype.provenance["perturbation"]
    cell = effects.cell
    np.testing.assert_allclose(found["operations"], effects.operations, atol=1e-5)
    again = PerturbationEffects(cell, found["operations"], found["edges"])
    assert genotype.cell == again.decode()
    assert genotype.network == Genotype.load(folder / "genotype.json").network
    few = decode_model_dir(folder, output=tmp_path / "few.json", most_skips=0, effects=effects)
    assert few.genotype.cell == effects.decode(most_skips=0)

    refused = run_command(
        "auto_deeplab.decode", f"--model_dir={folder}", "--by=perturbation", "--epoch=1"
    )
    assert refused.returncode == 1
    assert "--epoch: received 1 with --by=perturbation; expected none" in refused.stderr
    lines = (folder / "architecture.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    (folder / "architecture.jsonl").write_text(
        "\n".join([*lines[:-1], json.dumps(last | {"step": 4})]) + "\n"
    )
    with pytest.raises(UserError, match="newest checkpoint is of step 5; expected one of step 4"):
        measure_search(folder, 2)
