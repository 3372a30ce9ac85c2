"""Tables that tests write without training anything."""

from collections.abc import Sequence

from auto_deeplab.search_space import CellGraph, TrellisGraph, numbered_draw
from benchmarks.search_quality.table import FORMAT, Entry, Header, Table, TableTraining

LAYERS, STRIDES, BLOCKS, OPERATIONS = 2, (4, 8), 1, ("none", "skip", "sep_conv_3x3")


def make_table(
    mean_ious: Sequence[float], name: str = "table", search_seconds: float | None = None
) -> Table:
    """Returns a table whose networks are drawn, with the given results."""
    cell, trellis = CellGraph(BLOCKS, OPERATIONS), TrellisGraph(LAYERS, STRIDES)
    entries = []
    for number, mean_iou in enumerate(mean_ious, start=1):
        genotype = numbered_draw(f"{name}_{number}", cell, trellis, 0, number)
        training = TableTraining(
            seed=0,
            steps=1,
            mean_iou=mean_iou,
            pixel_accuracy=0.5,
            loss=1.0,
            seconds=4.0,
            cpu_seconds=2.0,
            machine="a machine",
        )
        entries.append(
            Entry(
                name=genotype.name,
                network=list(genotype.network),
                cell=[[list(branch) for branch in block] for block in genotype.cell],
                parameters=1000 * number,
                multiply_adds=10**6 * (40 + number % 7),
                trainings=[training],
            )
        )
    header = Header(
        format=FORMAT,
        name=name,
        setting={"values": {}, "dataset": {"name": "halves"}},
        search_seconds=search_seconds,
        versions=[],
    )
    return Table(header, entries)
