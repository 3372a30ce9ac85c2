"""An architecture as text for a terminal: the path through the trellis and the cell's blocks."""

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import (
    STEM,
    Genotype,
    Relaxation,
    TrellisGraph,
    branch_weights,
    diagnose,
    path_arcs,
)

_COLUMN = 5  # characters between one layer and the next


def shown_trellis(genotype: Genotype, relaxation: Relaxation | None = None) -> TrellisGraph:
    """Returns the trellis to show a genotype in: the searched one, or strides 4 to 32 and more.

    Raises:
        UserError: The genotype is no path of the searched trellis, or its cell has other blocks.
    """
    if relaxation is None:
        largest = max(32, *genotype.network)
        strides = [min(STEM.stride, *genotype.network)]
        while strides[-1] < largest:
            strides.append(2 * strides[-1])
        return TrellisGraph(len(genotype.network), tuple(strides))
    trellis = relaxation.trellis
    if len(genotype.network) != trellis.layers or not set(genotype.network) <= set(trellis.strides):
        raise UserError(
            f"genotype {genotype.name!r}: received the path {list(genotype.network)}; expected one "
            f"of the searched trellis, which has {trellis.layers} layers of the strides "
            f"{list(trellis.strides)}"
        )
    if len(genotype.cell) != relaxation.cell.blocks:
        raise UserError(
            f"genotype {genotype.name!r}: received a cell of {len(genotype.cell)} blocks; expected "
            f"{relaxation.cell.blocks}, as the searched one has"
        )
    return trellis


def describe(genotype: Genotype, relaxation: Relaxation | None = None) -> str:
    """Returns a readable text: the trellis with the path marked, then a table of the blocks.

    Args:
        genotype: What to describe.
        relaxation: The alpha and beta that it was decoded from; adds how strong each choice is.

    Raises:
        UserError: `genotype` does not belong to the space of `relaxation`.
    """
    trellis = shown_trellis(genotype, relaxation)
    lines = [f"Architecture {genotype.name!r}", "", *_trellis_lines(genotype, trellis)]
    if relaxation is not None:
        weight = dict(zip(trellis.arcs, relaxation.arc_weights(), strict=True))
        chosen = "".join(f"{weight[arc]:{_COLUMN}.2f}" for arc in path_arcs(genotype))
        lines += ["", f"  weight    {chosen}"]
    return "\n".join([*lines, "", *_cell_lines(genotype, relaxation)]) + "\n"


def describe_diagnosis(relaxation: Relaxation) -> str:
    """Returns a readable text: the figures of a search's alpha and beta, then what is wrong."""
    diagnosis = diagnose(relaxation)
    figures = [
        f"  {name.replace('_', ' '):20}{value:6.3g}" for name, value in diagnosis.figures().items()
    ]
    return "\n".join(["Diagnosis", "", *figures, "", *diagnosis.findings()]).rstrip() + "\n"


def _trellis_lines(genotype: Genotype, trellis: TrellisGraph) -> list[str]:
    path = {(STEM.layer, STEM.stride), *enumerate(genotype.network, start=1)}
    strides = sorted({STEM.stride, *trellis.strides})
    width = _COLUMN * trellis.layers + 1
    rows = {stride: [" "] * width for stride in strides}
    between = {stride: [" "] * width for stride in strides}  # below the row of each stride
    for layer, stride in (STEM, *trellis.nodes):
        rows[stride][_COLUMN * layer] = "●" if (layer, stride) in path else "·"
    for arc in path_arcs(genotype):
        start = _COLUMN * (arc.layer - 1)
        if arc.source == arc.target:
            rows[arc.source][start + 1 : start + _COLUMN] = "─" * (_COLUMN - 1)
        else:
            down = arc.target > arc.source
            rows[arc.source][start + 1 : start + 4] = "──" + ("╮" if down else "╯")
            between[min(arc.source, arc.target)][start + 3] = "│"
            rows[arc.target][start + 3 : start + 5] = ("╰" if down else "╭") + "─"
    layers = "".join(f"{layer:{_COLUMN}}" for layer in range(1, trellis.layers + 1))
    lines = [f"  layer  stem{layers[1:]}"]
    for stride in strides:
        label = "  stride" if stride == strides[0] else ""
        lines.append(f"{label:8}{stride:3} {''.join(rows[stride])}".rstrip())
        if stride != strides[-1]:
            lines.append(f"{'':12}{''.join(between[stride])}".rstrip())
    return lines


def _cell_lines(genotype: Genotype, relaxation: Relaxation | None) -> list[str]:
    weights = branch_weights(genotype, relaxation) if relaxation else None
    cells = [["block", "reads", "operation", "weight", "reads", "operation", "weight"]]
    for block, branches in enumerate(genotype.cell):
        row = [str(block + 1)]
        for i, branch in enumerate(branches):
            weight = weights[block][i] if weights else None
            row += [branch.input, branch.op, "" if weight is None else f"{weight:.2f}"]
        cells.append(row)
    if weights is None:
        cells = [[*row[:3], *row[4:6]] for row in cells]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "".join(f"  {text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
