"""Searches that count what they find, and are drawn to a cost."""

import re

import numpy as np
import pytest
import tensorflow as tf
from tf_keras.optimizers import legacy

from auto_deeplab.cost import ExpectedCost, cost_bounds
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.counting import count_multiply_adds
from auto_deeplab.models.final.network import build_network
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.search_space import Genotype
from auto_deeplab.training import search
from auto_deeplab.training.job import configured_job
from auto_deeplab.training.optimization.cost_penalty import CostPenalty
from auto_deeplab.training.optimization.update import penalty_gradients
from auto_deeplab.training.path_search_model import PathSearchModel
from auto_deeplab.training.search_model import SearchModel
from tests.cost_tables import made_up_table
from tests.trainings import prepare

COUNTED = (
    "Search.cost = @multiply_adds()",
    "multiply_adds.image_size = (33, 48)",
    "build_network.filters = 4",
    "build_network.stem_filters = 4",
    "build_network.aspp_filters = 8",
    "build_network.decoder_filters = 8",
)


def test_counting_leaves_the_search_as_it_is(configure_search, colored_dataset, tmp_path):
    values = []
    for parameters in ((), COUNTED):
        configure_search(*parameters)
        training = prepare(tmp_path / "run", colored_dataset)
        values.append([variable.numpy() for variable in training.tracked["model"].variables])
        assert bool(training.step_figures()) == bool(parameters)
        assert training.model.architecture_penalty is None
    for value, other in zip(*values, strict=True):
        np.testing.assert_array_equal(value, other)


def test_a_search_shows_what_it_costs_and_goes_to_its_target(configure_search, tmp_path, capsys):
    configure_search(
        *COUNTED,
        "Search.epochs = 2",
        "Search.cost_weight = 10.0",
        "Search.cost_target = 8e5",
        "Search.architecture_learning_rate = 0.2",
    )
    configured_job().train(ModelDir(tmp_path), tf.distribute.get_strategy())
    config = (tmp_path / "config.gin").read_text()
    assert "Search.cost = @multiply_adds()" in config
    assert "build_network.aspp_filters = 8" in config
    warm, last = ModelDir(tmp_path).read_metrics()
    assert 8e5 < last["expected_multiply_adds"] < 0.99 * warm["expected_multiply_adds"]
    network = build_network(Genotype.load(tmp_path / "genotype.json"), 3)
    assert last["decoded_multiply_adds"] == count_multiply_adds(network, (33, 48))
    printed = capsys.readouterr()
    assert re.search(r"epoch 2/2: .*expected_multiply_adds [\d.]+K", printed.out + printed.err)
    assert re.search(r"decoded_multiply_adds=[\d.]+K", printed.err)


def test_a_target_that_no_network_has_is_refused(configure_search, make_supernet, monkeypatch):
    supernet = make_supernet()
    table = made_up_table(supernet.cell_graph, supernet.trellis_graph)
    monkeypatch.setattr(search, "measure", lambda *arguments: table)
    configure_search("Search.cost = @parameters()", "Search.cost_target = 1.0")
    least, most = cost_bounds(table)
    message = f"Search.cost_target: received 1; expected {least:,} to {most:,} parameters, which"
    with pytest.raises(UserError, match=message):
        configured_job().measure_costs(supernet, 3)


@pytest.mark.parametrize("model_type", [SearchModel, PathSearchModel])
def test_the_gradient_of_the_cost_joins_that_of_the_architecture(make_supernet, model_type):
    """With SGD it moves alpha and beta by itself, whatever the loss does."""
    generator = np.random.default_rng(0)
    batch = (
        tf.constant(generator.normal(size=[2, 33, 33, 3]), tf.float32),
        tf.constant(generator.integers(0, 3, [2, 33, 33]), tf.int32),
    )
    moved = []
    for is_penalized in (False, True):
        supernet = make_supernet()
        table = made_up_table(supernet.cell_graph, supernet.trellis_graph)
        penalty = CostPenalty(supernet.architecture_logits, ExpectedCost(table), 0.5, 1.0)
        expected = penalty_gradients(penalty, supernet.architecture_variables)
        model = model_type(supernet, architecture_penalty=penalty if is_penalized else None)
        model.compile(legacy.SGD(0.1), legacy.SGD(1.0))
        model.run_architecture_update(*batch)
        moved.append([variable.numpy() for variable in supernet.architecture_variables])
    for plain, penalized, gradient in zip(*moved, expected, strict=True):
        assert np.abs(gradient).max() > 1e-3
        np.testing.assert_allclose(plain - penalized, gradient, atol=1e-5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            ("Search.cost_weight = 1.0",),
            "Search.cost_weight: received 1.0 with Search.cost = None; expected 0.0, or "
            "Search.cost = @multiply_adds() or @parameters()",
        ),
        (
            ("Search.cost_target = 1e9",),
            "Search.cost_target: received 1000000000.0 with Search.cost = None; expected None, or",
        ),
        (
            ("Search.cost = @parameters()", "Search.cost_weight = 1.0"),
            "Search.cost_target: received None with Search.cost_weight = 1.0; expected how many "
            "parameters the network that is found shall have",
        ),
        (
            ("Search.cost = @multiply_adds",),
            "Search.cost: received @multiply_adds; expected @multiply_adds() or @parameters(), or "
            "None",
        ),
    ],
)
def test_mistakes_name_the_value(configure_search, parameters, message):
    def configured():
        configure_search(*parameters)
        return configured_job()

    with pytest.raises(UserError, match=re.escape(message)):
        configured()
