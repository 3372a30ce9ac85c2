import numpy as np

from auto_deeplab.search_space import read_history
from auto_deeplab.visualization.heat_maps import draw_alpha, draw_beta


def panels(figure):
    """The values of each heat map, and the rows that are framed."""
    for axes in figure.axes:
        if axes.images:
            framed = sorted(line.get_ydata().min() + 0.5 for line in axes.lines)
            yield axes, axes.images[0].get_array().data, framed


def test_alpha_has_a_panel_an_edge_and_frames_what_is_decoded(make_search):
    history = read_history(make_search("search") / "architecture.jsonl")
    weights = np.stack([entry.relaxation.operation_weights() for entry in history])
    cell = history[-1].relaxation.cell
    found = list(panels(draw_alpha(history)))
    assert len(found) == len(cell.edges)
    framed = []
    for index, (edge, (_, values, rows)) in enumerate(zip(cell.edges, found, strict=True)):
        assert np.array_equal(values, weights[:, index].T)
        framed += [(edge.block, edge.input, cell.operations[int(row)]) for row in rows]
    decoded = history[-1].relaxation.decode("last").cell
    assert sorted(framed) == sorted(
        (block, *branch) for block, branches in enumerate(decoded, start=1) for branch in branches
    )
    titles = [axes.get_title() for axes, _, _ in found if axes.get_title()]
    assert titles == ["reads prev_prev", "reads prev", "reads block1"]


def test_beta_has_a_panel_a_node_and_frames_the_path(make_search):
    history = read_history(make_search("search") / "architecture.jsonl")
    trellis = history[-1].relaxation.trellis
    found = list(panels(draw_beta(history)))
    # The stem, 2 nodes in layer 1 and 3 in layer 2; the last layer's have no outgoing arcs.
    assert len(found) == 6
    assert sum(len(values) for _, values, _ in found) == len(trellis.arcs)
    for _, values, _ in found:
        assert np.allclose(values.sum(axis=0), 1)
    labels = [
        axes.get_yticklabels()[int(row)].get_text() for axes, _, rows in found for row in rows
    ]
    path = history[-1].relaxation.decode("last").network
    assert labels == [f"\u2192 {stride}" for stride in path]


def test_one_epoch_is_enough(make_search):
    history = read_history(make_search("search") / "architecture.jsonl")[:1]
    for draw in (draw_alpha, draw_beta):
        draw(history).canvas.draw()
