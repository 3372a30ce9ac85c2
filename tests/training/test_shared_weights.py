import numpy as np
import pytest
import tf_keras

from auto_deeplab.data.pipeline import open_records
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.supernet.single_path import single_path_logits
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.search_space import ArchitectureDistribution, Branch, Genotype
from auto_deeplab.training.shared_weights import (
    DecodedPrediction,
    draw_candidates,
    evaluate_with_shared_weights,
    rank_with_shared_weights,
)
from tests.architectures import random_relaxation
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


def make_supernet():
    tf_keras.utils.set_random_seed(0)
    return Supernet(2, layers=2, strides=(4, 8), blocks=1, filters=4)


def test_candidates_are_ranked_by_what_each_makes_of_the_images(records):
    supernet = make_supernet()
    candidates = draw_candidates(ArchitectureDistribution(supernet.relaxation()), 8, seed=0)
    ranked = rank_with_shared_weights(supernet, candidates, records, batch_size=2)
    assert sorted(each.genotype.name for each in ranked) == sorted(c.name for c in candidates)
    scores = [each.matrix.mean_iou for each in ranked]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 2
    for genotype, matrix in ranked:
        alone = evaluate_with_shared_weights(supernet, genotype, records, batch_size=2)
        np.testing.assert_array_equal(matrix.counts, alone.counts)


def test_candidates_of_another_space_are_refused(records):
    cell = ((Branch("prev", "skip"), Branch("prev_prev", "skip")),)
    with pytest.raises(UserError, match="expected one of 2 layers"):
        rank_with_shared_weights(make_supernet(), [Genotype("short", (4,), cell)], records)


def test_candidates_differ_and_a_seed_gives_the_same():
    distribution = ArchitectureDistribution(
        random_relaxation(0, 1, 2, (4, 8), ("none", "max_pool_3x3", "skip"))
    )

    def contents(seed, count=12):
        drawn = draw_candidates(distribution, count, seed)
        return [(genotype.network, genotype.cell) for genotype in drawn]

    # 16 there are.
    assert len(set(contents(0))) == 12
    assert contents(0) == contents(0) != contents(1)
    with pytest.raises(UserError, match="count: received 17; expected less"):
        contents(0, 17)


def test_a_prediction_is_that_of_what_is_decoded_now(records):
    supernet = make_supernet()
    predict = DecodedPrediction(supernet)
    images = np.random.default_rng(0).normal(size=[2, 33, 49, 3]).astype(np.float32)
    for seed in range(3):
        relaxation = random_relaxation(seed, 1, 2, (4, 8), supernet.cell_graph.operations)
        supernet.alpha.assign(relaxation.alpha)
        supernet.beta.assign(relaxation.beta)
        genotype = supernet.relaxation().decode("decoded")
        logits = single_path_logits(supernet, images, genotype)
        (class_map,) = predict([images])
        np.testing.assert_array_equal(class_map, np.argmax(logits, axis=-1))
