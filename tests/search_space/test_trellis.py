import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import STEM, TrellisGraph
from tests.architectures import listed_paths


def trellises(max_layers=6):
    strides = st.builds(
        lambda first, count: tuple(2**power for power in range(first, first + count)),
        st.integers(0, 3),
        st.integers(1, 5),
    ).filter(lambda strides: {2, 4, 8} & set(strides))
    return st.builds(TrellisGraph, st.integers(1, max_layers), strides)


def test_the_papers_trellis():
    trellis = TrellisGraph()
    assert len(trellis.nodes) == 45
    assert len(trellis.arcs) == 105
    assert trellis.count_paths() == 75_025
    assert [node.stride for node in trellis.nodes_of(1)] == [4, 8]
    assert [node.stride for node in trellis.nodes_of(2)] == [4, 8, 16]
    assert all(len(trellis.nodes_of(layer)) == 4 for layer in range(3, 13))


def test_eleven_free_transitions_are_the_papers_count():
    assert TrellisGraph(layers=11).count_paths() == 28_657


@settings(deadline=None, max_examples=40)
@given(trellises(max_layers=5))
def test_nodes_arcs_and_paths_are_those_of_the_listed_paths(trellis):
    paths = listed_paths(trellis.layers, trellis.strides)
    nodes = {(layer, s) for path in paths for layer, s in enumerate(path, start=1)}
    arcs = {
        (layer, source, target)
        for path in paths
        for layer, (source, target) in enumerate(itertools.pairwise((4, *path)), start=1)
    }
    assert trellis.count_paths() == len(paths)
    for node in trellis.nodes:
        ends = {path[node.layer - 1 :] for path in paths if path[node.layer - 1] == node.stride}
        assert trellis.count_paths(node) == len(ends)
    assert trellis.nodes == tuple(sorted(nodes))
    assert trellis.arcs == tuple(sorted(arcs, key=lambda arc: (arc[0], arc[2], arc[1])))


@settings(deadline=None, max_examples=40)
@given(trellises())
def test_incoming_and_outgoing_split_the_arcs_in_two_ways(trellis):
    incoming = [arc for node in trellis.nodes for arc in trellis.incoming(*node)]
    outgoing = [arc for node in (STEM, *trellis.nodes) for arc in trellis.outgoing(*node)]
    assert tuple(incoming) == trellis.arcs
    assert sorted(outgoing) == sorted(trellis.arcs)
    for node in trellis.nodes:
        assert 1 <= len(trellis.incoming(*node)) <= 3
        assert all((arc.layer, arc.target) == node for arc in trellis.incoming(*node))
        assert all((arc.layer - 1, arc.source) == node for arc in trellis.outgoing(*node))
        assert len(trellis.outgoing(*node)) == 0 or node.layer < trellis.layers
    assert trellis.incoming(*STEM) == ()


def test_other_strides():
    assert TrellisGraph(2, [8, 16]).arcs == ((1, 4, 8), (2, 8, 8), (2, 8, 16))
    assert TrellisGraph(1, (2, 4)).nodes == ((1, 2), (1, 4))
    assert TrellisGraph(3, (4,)).count_paths() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 0}, "layers: received 0"),
        ({"layers": "12"}, "layers: received '12'"),
        ({"strides": ()}, r"strides: received \[\]"),
        ({"strides": 4}, "strides: received 4; expected a list"),
        ({"strides": (4, 16)}, "contiguous powers of two"),
        ({"strides": (8, 4)}, "ascending"),
        ({"strides": (3, 6)}, "powers of two"),
        ({"strides": (4.0, 8.0)}, "powers of two"),
        ({"strides": (16, 32)}, "the stem has stride 4"),
        ({"strides": (1,)}, "the stem has stride 4"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(UserError, match=message):
        TrellisGraph(**arguments)


def test_places_that_do_not_exist():
    trellis = TrellisGraph()
    with pytest.raises(UserError, match="layer 1, stride 32"):
        trellis.incoming(1, 32)
    with pytest.raises(UserError, match="layer 13, stride 4"):
        trellis.outgoing(13, 4)
    with pytest.raises(UserError, match="received 0; expected 1 to 12"):
        trellis.nodes_of(0)
