"""What a real supernet says of architectures, and what is refused as one."""

import random

import pytest
import tensorflow as tf

from auto_deeplab.data.pipeline import open_records
from auto_deeplab.foundations import gin_files
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.search_space import CellGraph, TrellisGraph, sample_genotype
from auto_deeplab.selection.shared_weights import SharedWeights
from auto_deeplab.training.job import configured_job
from auto_deeplab.training.shared_weights import evaluate_with_shared_weights
from auto_deeplab.training.trained import load_trained
from tests.helpers import TINY_SEARCH

OPERATIONS = ("none", "max_pool_3x3", "skip")


@pytest.fixture
def search(colored_dataset, tmp_path):
    """The folder of a search of one epoch."""
    path = tmp_path / "search.gin"
    path.write_text(TINY_SEARCH.format(dataset=colored_dataset))
    gin_files.load(str(path), [f"Supernet.operations = {OPERATIONS}", "Search.batch_size = 1"])
    model_dir = ModelDir(tmp_path / "search")
    configured_job().train(model_dir, tf.distribute.get_strategy())
    return model_dir.path


def test_architectures_are_measured_with_the_search_s_weights(search, retraining):
    generator = random.Random(0)
    space = CellGraph(1, OPERATIONS), TrellisGraph(1, (4,))
    genotypes = [sample_genotype(f"drawn_{n}", *space, generator) for n in range(3)]
    trained = load_trained(search)
    records = open_records(trained.dataset_dir, "val")
    expected = [
        evaluate_with_shared_weights(trained.model, each, records, limit=2).mean_iou
        for each in genotypes
    ]
    weights = SharedWeights(str(search), trained.description.name, retraining)
    assert weights.measure(genotypes, 2) == pytest.approx(expected)
    # The configuration in effect is that of the retraining again.
    assert configured_job().steps == 8
    other = SharedWeights(str(search), "another dataset", retraining)
    with pytest.raises(UserError, match=r"search: received .* expected a search on 'another"):
        other.measure(genotypes, 2)


def test_a_folder_without_a_search_is_named(retraining, tmp_path):
    with pytest.raises(UserError, match=r"which has no config.gin; expected a folder that"):
        SharedWeights(str(tmp_path), "colored", retraining).measure([], None)
