import numpy as np
import pytest
import tf_keras

from auto_deeplab.data.pipeline import open_records
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.search_space import Branch, Genotype
from auto_deeplab.training.shared_weights import evaluate_with_shared_weights
from tests.datasets import png_example, write_dataset


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Five images whose left part is black and of class 0, and whose right one is white."""
    examples = []
    for number in range(5):
        label = np.zeros((33, 49), np.uint8)
        label[:, 12 + 4 * number :] = 1
        image = np.repeat(label[..., None] * 255, 3, axis=2)
        examples.append(png_example(f"{number}.png", image, label))
    folder = write_dataset(
        tmp_path_factory.mktemp("halves"), "halves", {"val": examples}, ["black", "white"]
    )
    return open_records(folder, "val")


def test_all_pixels_are_counted_and_the_supernet_stays_the_same(records):
    tf_keras.utils.set_random_seed(0)
    supernet = Supernet(2, layers=1, strides=(4,), blocks=1, filters=4)
    before = [variable.numpy() for variable in supernet.variables]
    genotype = Genotype("one", (4,), ((Branch("prev", "skip"), Branch("prev_prev", "skip")),))
    matrix = evaluate_with_shared_weights(supernet, genotype, records, batch_size=2)
    assert matrix.counts.sum() == 5 * 33 * 49
    for variable, value in zip(supernet.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_a_limit_leaves_images_out(records):
    supernet = Supernet(2, layers=1, strides=(4,), blocks=1, filters=4)
    genotype = Genotype("one", (4,), ((Branch("prev", "skip"), Branch("prev_prev", "skip")),))
    matrix = evaluate_with_shared_weights(supernet, genotype, records, batch_size=2, limit=3)
    assert matrix.counts.sum() == 3 * 33 * 49
