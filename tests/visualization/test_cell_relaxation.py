import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import OPERATIONS
from auto_deeplab.visualization.cell_relaxation import draw_cell_relaxation, save_cell_relaxation
from tests.architectures import random_relaxation


@pytest.mark.parametrize(("blocks", "operations"), [(1, ("none", "skip")), (5, OPERATIONS)])
def test_every_operation_of_every_edge_has_its_weight_and_what_is_decoded_is_bold(
    blocks, operations
):
    relaxation = random_relaxation(2, blocks=blocks, operations=operations)
    figure = draw_cell_relaxation(relaxation)
    weights = relaxation.operation_weights()
    texts = figure.findobj(Text)
    names = {operation.replace("_", " ").replace("x", "\u00d7") for operation in operations}
    # Of a panel first the name, then the number of each operation, edge by edge.
    names |= {name.replace("ma\u00d7", "max") for name in names}
    pairs = [
        (text, number) for text, number in itertools.pairwise(texts) if text.get_text() in names
    ]
    assert [number.get_text() for _, number in pairs] == [f"{w:.2f}" for w in weights.ravel()]
    bars = [bar.get_width() for bar in figure.findobj(Rectangle) if bar.get_height() == 0.1]
    assert bars == pytest.approx(list(0.72 * weights.ravel() / weights.max()))

    kept = [
        (edge, operation)
        for (edge, operation), (text, number) in zip(
            [(edge, op) for edge in relaxation.cell.edges for op in operations], pairs, strict=True
        )
        if text.get_weight() == number.get_weight() == "bold"
    ]
    decoded = relaxation.decode("any").cell
    assert sorted(((edge.block, edge.input), operation) for edge, operation in kept) == sorted(
        ((block, branch.input), branch.op)
        for block, branches in enumerate(decoded, start=1)
        for branch in branches
    )


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_nothing_is_cut_off_and_no_texts_overlap(blocks):
    figure = draw_cell_relaxation(random_relaxation(0, blocks=blocks, operations=OPERATIONS))
    # One canvas for all: without it each text would make its own to be measured on.
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [text.get_window_extent() for text in figure.findobj(Text) if text.get_text()]
    width, height = canvas.get_width_height()
    for index, box in enumerate(boxes):
        assert 0 <= box.x0 < box.x1 <= width
        assert 0 <= box.y0 < box.y1 <= height
        # Lines of one panel come close; a pixel is within the margin of their letters.
        assert not any(box.padded(-1).overlaps(other.padded(-1)) for other in boxes[:index])


def test_a_drawing_is_not_replaced_unless_told(tmp_path):
    path, relaxation = tmp_path / "cell.svg", random_relaxation(0)
    save_cell_relaxation(path, relaxation)
    first = path.read_bytes()
    with pytest.raises(UserError, match="exists already"):
        save_cell_relaxation(path, random_relaxation(1))
    save_cell_relaxation(path, random_relaxation(1), overwrite=True)
    assert path.read_bytes() != first
