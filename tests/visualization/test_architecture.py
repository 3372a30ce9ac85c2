import functools
import itertools
import re

import cv2
import numpy as np
import pytest

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import OPERATIONS, Genotype
from auto_deeplab.visualization.architecture import draw_architecture, save_architecture
from tests.architectures import random_relaxation

relaxation = functools.partial(random_relaxation, 0, operations=OPERATIONS)


def texts_of(figure):
    return [text for axes in figure.axes for text in axes.texts if text.get_text()]


def boxes_of_texts(figure):
    figure.canvas.draw()
    return [(text.get_text(), text.get_window_extent().padded(-1)) for text in texts_of(figure)]


ARCHITECTURES = {
    "published": (Genotype.load("published"), None),
    "searched": (relaxation(5, 12).decode("searched"), relaxation(5, 12)),
    "small": (relaxation(1, 1, (8,)).decode("small"), relaxation(1, 1, (8,))),
    "deep": (relaxation(9, 20).decode("deep"), None),
    "other_strides": (relaxation(3, 4, (1, 2, 4, 8, 16, 32, 64)).decode("other"), None),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_everything_is_written_inside_the_figure_and_apart(name):
    genotype, relaxation = ARCHITECTURES[name]
    figure = draw_architecture(genotype, relaxation)
    boxes = boxes_of_texts(figure)
    written = [text.split("  ")[0] for text, _ in boxes]
    for branch in itertools.chain.from_iterable(genotype.cell):
        assert (
            branch.op.replace("_", " ").replace("3x3", "3\u00d73").replace("5x5", "5\u00d75")
            in written
        )
    assert {"Network", "Cell", "Stem", "ASPP", "concatenate"} <= set(written)
    for block in range(1, len(genotype.cell) + 1):
        assert f"block {block}" in written
    for text, box in boxes:
        assert figure.bbox.x0 <= box.x0, text
        assert box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0, text
        assert box.y1 <= figure.bbox.y1, text
    for (one, box), (other, other_box) in itertools.combinations(boxes, 2):
        assert not box.overlaps(other_box), (one, other)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_fits_its_box(operation):
    genotype = Genotype("mine", [4], [[("prev", operation)] * 2])
    figure = draw_architecture(genotype)
    figure.canvas.draw()
    (axes,) = [axes for axes in figure.axes if any(t.get_text() == "Cell" for t in axes.texts)]
    patches = [patch.get_window_extent() for patch in axes.patches]
    label = re.sub(r"(\d)x(\d)", "\\1\u00d7\\2", operation).replace("_", " ")
    for text in axes.texts:
        if text.get_text() == label:
            box = text.get_window_extent()
            assert any(
                patch.x0 < box.x0 and box.x1 < patch.x1 and patch.height < 2.2 * box.height
                for patch in patches
            )


def test_weights_are_those_of_the_relaxation():
    genotype, relaxation = ARCHITECTURES["searched"]
    weight = dict(zip(relaxation.trellis.arcs, relaxation.arc_weights(), strict=True))
    strides = (4, *genotype.network)
    expected = [
        f"{weight[(layer, *step)]:.2f}"
        for layer, step in enumerate(itertools.pairwise(strides), start=1)
    ]
    written = [text.get_text() for text in texts_of(draw_architecture(genotype, relaxation))]
    assert [text for text in written if re.fullmatch(r"\d\.\d\d", text)] == expected


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_files_are_whole_and_the_same_each_time(tmp_path, suffix):
    genotype = Genotype.load("published")
    first, second = tmp_path / f"first{suffix}", tmp_path / "folder" / f"second{suffix}"
    save_architecture(first, genotype)
    save_architecture(second, genotype)
    assert first.read_bytes() == second.read_bytes()
    assert len(first.read_bytes()) > 5000
    if suffix == ".png":
        picture = cv2.imread(str(first))
        assert picture.shape[1] >= 1200
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_an_existing_file_is_kept(tmp_path):
    path = tmp_path / "picture.png"
    path.write_text("precious")
    with pytest.raises(UserError, match=r"picture\.png: exists already"):
        save_architecture(path, Genotype.load("published"))
    assert path.read_text() == "precious"
    save_architecture(path, Genotype.load("published"), overwrite=True)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_an_unknown_suffix(tmp_path):
    with pytest.raises(
        UserError, match=r"picture\.jpg'; expected a name that ends with \.pdf, \.png or \.svg"
    ):
        save_architecture(tmp_path / "picture.jpg", Genotype.load("published"))


def test_the_strongest_arc_out_of_each_node_is_dashed_but_on_the_path():
    genotype, relaxation = ARCHITECTURES["searched"]
    weight = dict(zip(relaxation.trellis.arcs, relaxation.arc_weights(), strict=True))
    strongest = {}
    for arc in relaxation.trellis.arcs:
        source = (arc.layer - 1, arc.source)
        if source not in strongest or weight[arc] > weight[strongest[source]]:
            strongest[source] = arc
    path = (4, *genotype.network)
    unchosen = [
        arc
        for arc in strongest.values()
        if (arc.source, arc.target) != path[arc.layer - 1 : arc.layer + 1]
    ]
    (axes,) = draw_architecture(genotype, relaxation, ["network"]).axes
    # What the path covers cannot be seen.
    covered = {tuple(line.get_xydata().ravel()) for line in axes.lines if line.get_zorder() == 2}
    dashed = [line for line in axes.lines if line.is_dashed()]
    seen = [line for line in dashed if tuple(line.get_xydata().ravel()) not in covered]
    assert len(seen) == len(unchosen) > 0
    widths = sorted(line.get_linewidth() for line in seen)
    assert widths == pytest.approx(sorted(0.3 + 3 * weight[arc] for arc in unchosen))


@pytest.mark.parametrize(("parts", "heading"), [(["network"], "Network"), (["cell"], "Cell")])
def test_a_part_alone(parts, heading):
    genotype, relaxation = ARCHITECTURES["searched"]
    figure = draw_architecture(genotype, relaxation, parts)
    headings = {text.get_text() for text in texts_of(figure)} & {"Network", "Cell"}
    assert headings == {heading}
