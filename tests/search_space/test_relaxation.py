import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import (
    STEM,
    Branch,
    CellGraph,
    Edge,
    Genotype,
    Relaxation,
    TrellisGraph,
    append_history,
    decode_cell,
    decode_network,
    numbered_draw,
    one_hot_operation_weights,
    read_history,
)
from tests.architectures import random_relaxation


def same(one, other):
    return (
        (one.cell, one.trellis) == (other.cell, other.trellis)
        and np.array_equal(one.alpha, other.alpha)
        and np.array_equal(one.beta, other.beta)
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 6))
def test_weights_are_probabilities_of_each_edge_and_of_each_node(seed, blocks, layers):
    relaxation = random_relaxation(seed, blocks, layers)
    np.testing.assert_allclose(relaxation.operation_weights().sum(axis=1), 1)
    weight = dict(zip(relaxation.trellis.arcs, relaxation.arc_weights(), strict=True))
    for node in (STEM, *relaxation.trellis.nodes):
        leaving = relaxation.trellis.outgoing(*node)
        if leaving:
            assert np.isclose(sum(weight[arc] for arc in leaving), 1)


def test_weights_by_hand():
    trellis = TrellisGraph(2, (4, 8))  # arcs: 4>4, 4>8, then 4>4, 8>4, 4>8, 8>8
    beta = np.log([1.0, 3.0, 1.0, 1.0, 4.0, 1.0])
    relaxation = Relaxation(CellGraph(1, ("none", "skip")), trellis, np.log([[1, 3], [1, 1]]), beta)
    np.testing.assert_allclose(relaxation.arc_weights(), [0.25, 0.75, 0.2, 0.5, 0.8, 0.5])
    np.testing.assert_allclose(relaxation.operation_weights(), [[0.25, 0.75], [0.5, 0.5]])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_json_keeps_every_bit(seed):
    relaxation = random_relaxation(seed)
    again = Relaxation.from_json_dict(json.loads(json.dumps(relaxation.to_json_dict())))
    assert same(again, relaxation)
    assert np.array_equal(again.alpha.astype(np.float32), relaxation.alpha)


def test_values_are_copied_and_cannot_be_written():
    beta = np.zeros(2)
    relaxation = Relaxation(CellGraph(1, ("skip",)), TrellisGraph(1), np.zeros((2, 1)), beta)
    beta[0] = 9
    assert relaxation.beta[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        relaxation.alpha[0, 0] = 1


def test_decode_joins_path_and_cell():
    relaxation = random_relaxation(3)
    genotype = relaxation.decode("mine", {"seed": 3})
    assert genotype.network == decode_network(relaxation.beta, relaxation.trellis)
    assert genotype.cell == decode_cell(relaxation.alpha, relaxation.cell)
    assert (genotype.name, genotype.provenance) == ("mine", {"seed": 3})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("alpha", [[0.0]], r"here: alpha: received the shape \[1, 1\]; expected \[5, 3\]"),
        ("beta", "x", "here: beta: received 'x'; expected numbers"),
        ("layers", 0, r"here: TrellisGraph.layers: received 0"),
        ("beta", ["0.5"], r"here: beta\[0\]: received '0.5'; expected a number"),
        ("alpha", [[True]], r"here: alpha\[0\]\[0\]: received True"),
        ("alpha", [[1.0], []], r"here: alpha: received .*; expected numbers"),
        ("layers", 10**6, "here: TrellisGraph.layers: received 1000000"),
        ("blocks", 10**6, "here: CellGraph.blocks: received 1000000"),
        ("strides", [4 << i for i in range(61)], "here: TrellisGraph.strides: .*at most 256"),
        ("operations", 5, r"here: CellGraph.operations: received 5"),
        ("operations", ["x"], r"here: CellGraph.operations: received 'x'"),
        ("gamma", 1, "here: gamma: received an unknown key"),
    ],
)
def test_wrong_documents(key, value, message):
    document = random_relaxation().to_json_dict() | {key: value}
    with pytest.raises(UserError, match=message):
        Relaxation.from_json_dict(document, source="here")


def test_what_no_float32_can_have_been_is_refused():
    document = random_relaxation().to_json_dict()
    document["beta"][1] = 1e300
    with pytest.raises(UserError, match=r"here: beta\[1\]: received 1e\+300; expected finite"):
        Relaxation.from_json_dict(document, source="here")
    document["beta"][1] = -3.4e38
    assert Relaxation.from_json_dict(document).decode("x").network


def test_missing_key():
    document = random_relaxation().to_json_dict()
    del document["beta"]
    with pytest.raises(UserError, match="here: beta: received nothing; the key is missing"):
        Relaxation.from_json_dict(document, source="here")


def test_history_round_trip(tmp_path):
    path = tmp_path / "architecture.jsonl"
    relaxations = [random_relaxation(seed) for seed in range(3)]
    for epoch, relaxation in enumerate(relaxations, start=1):
        append_history(path, epoch, 10 * epoch, relaxation)
    history = read_history(path)
    assert [(entry.epoch, entry.step) for entry in history] == [(1, 10), (2, 20), (3, 30)]
    assert all(same(entry.relaxation, r) for entry, r in zip(history, relaxations, strict=True))
    assert os.listdir(tmp_path) == ["architecture.jsonl"]


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_a_torn_last_line_is_not_read_and_the_next_epoch_replaces_it(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("history") / "architecture.jsonl"
    append_history(path, 1, 10, random_relaxation(1))
    complete = path.stat().st_size
    append_history(path, 2, 20, random_relaxation(2))
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(complete, len(whole) - 2))])
    assert [entry.epoch for entry in read_history(path)] == [1]
    append_history(path, 2, 20, random_relaxation(2))
    assert path.read_bytes() == whole


def test_a_run_that_goes_on_from_an_older_checkpoint_replaces_later_epochs(tmp_path):
    path = tmp_path / "architecture.jsonl"
    for epoch in (1, 2, 3):
        append_history(path, epoch, 10 * epoch, random_relaxation(epoch))
    append_history(path, 2, 20, random_relaxation(9))
    history = read_history(path)
    assert [entry.epoch for entry in history] == [1, 2]
    assert same(history[1].relaxation, random_relaxation(9))


def test_lines_of_a_repeated_epoch_count_once_as_last_written(tmp_path):
    path = tmp_path / "architecture.jsonl"
    lines = [
        {"epoch": epoch, "step": step} | random_relaxation(step).to_json_dict()
        for epoch, step in ((1, 10), (2, 20), (2, 21))
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [(entry.epoch, entry.step) for entry in read_history(path)] == [(1, 10), (2, 21)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{}", r"line 2: epoch: received None"),
        ("[]", r"line 2: received \[\]; expected an object"),
        ("{", r"line 2: received .*; expected JSON"),
        ('{"epoch": 2, "step": "x"}', r"line 2: step: received 'x'"),
        ('{"epoch": 2, "step": 1}', r"line 2: blocks: received nothing; the key is missing"),
    ],
)
def test_wrong_lines(tmp_path, line, message):
    path = tmp_path / "architecture.jsonl"
    append_history(path, 1, 10, random_relaxation())
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError, match=message):
        read_history(path)


def test_no_history(tmp_path):
    with pytest.raises(UserError, match=r"architecture\.jsonl: no such file"):
        read_history(tmp_path / "architecture.jsonl")


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 10**6), st.integers(1, 5))
def test_one_hot_weights_are_those_of_an_alpha_that_decodes_to_the_cell(number, blocks):
    cell, trellis = CellGraph(blocks), TrellisGraph(2)
    genotype = numbered_draw("drawn", cell, trellis, 0, number)
    weights = one_hot_operation_weights(genotype, cell)
    alpha = np.where(weights, 0.0, -1000.0)
    relaxation = Relaxation(cell, trellis, alpha, np.zeros(len(trellis.arcs)))
    assert relaxation.decode("again").cell == genotype.cell
    np.testing.assert_array_equal(relaxation.operation_weights(), weights)
    kept = {
        Edge(block, branch.input): branch.op
        for block, branches in enumerate(genotype.cell, start=1)
        for branch in branches
    }
    for edge, row in zip(cell.edges, weights, strict=True):
        assert cell.operations[row.argmax()] == kept.get(edge, "none")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (((Branch("prev", "skip"), Branch("prev_prev", "skip")),) * 2, "of 2 blocks; expected 1"),
        (((Branch("prev", "skip"), Branch("prev_prev", "max_pool_3x3")),), "with max_pool_3x3"),
        (((Branch("prev", "skip"), Branch("prev", "sep_conv_3x3")),), "block 1 reads prev twice"),
    ],
)
def test_a_cell_of_another_space_has_no_one_hot_weights(cell, message):
    space = CellGraph(1, ("none", "skip", "sep_conv_3x3"))
    with pytest.raises(UserError, match=message):
        one_hot_operation_weights(Genotype("other", (4,), cell), space)
