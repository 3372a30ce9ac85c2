"""What a network costs, in total and part by part, as a table for people and as JSON."""

from dataclasses import dataclass

from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.text_table import TextTable
from auto_deeplab.models.counting import LayerCount, count_layers
from auto_deeplab.models.final.network import build_network
from auto_deeplab.search_space import STEM, Genotype

FORMAT = 1


@dataclass(frozen=True)
class NetworkSummary:
    """The costs of a network that was built.

    Args:
        genotype: The network's.
        filters: F, its width.
        classes: How many it tells apart.
        image_size: (height, width) of the image that the multiply-adds are for.
        parts: Its stem, layers, ASPP and decoder, in this order.
    """

    genotype: Genotype
    filters: int
    classes: int
    image_size: tuple[int, int]
    parts: tuple[LayerCount, ...]

    @property
    def parameters(self) -> int:
        """How many parameters are trained."""
        return sum(part.parameters for part in self.parts)

    @property
    def multiply_adds(self) -> int:
        """The multiply-adds of the convolutions, for one image."""
        return sum(part.multiply_adds for part in self.parts)

    def to_json(self) -> str:
        """Returns the summary as JSON text."""
        document = {
            "format": FORMAT,
            "genotype": self.genotype.name,
            "network": list(self.genotype.network),
            "filters": self.filters,
            "classes": self.classes,
            "image_size": list(self.image_size),
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "parts": [part._asdict() for part in self.parts],
        }
        return json_files.to_json(document, indent=1) + "\n"

    def table(self) -> TextTable:
        """Returns the table that the summary command prints."""
        height, width = self.image_size
        table = TextTable(
            title=f"{self.genotype.name}, {self.filters} filters, {self.classes} classes, "
            f"one image of {height}x{width}",
            title_justify="left",
            caption="trainable parameters; multiply-adds of convolutions",
            caption_justify="left",
            show_footer=True,
        )
        table.add_column("part", footer="total")
        table.add_column("stride", justify="right")
        table.add_column("parameters", justify="right", footer=f"{self.parameters:,}")
        table.add_column("multiply-adds", justify="right", footer=f"{self.multiply_adds:,}")
        table.add_column("share", justify="right")
        strides = {"stem": STEM.stride, "aspp": self.genotype.network[-1]}
        strides |= {f"layer{i}": s for i, s in enumerate(self.genotype.network, start=1)}
        for part in self.parts:
            table.add_row(
                part.name,
                str(strides.get(part.name, "")),
                f"{part.parameters:,}",
                f"{part.multiply_adds:,}",
                f"{part.multiply_adds / self.multiply_adds:.1%}",
            )
        return table


def summarize(
    genotype: Genotype, filters: int, classes: int, image_size: tuple[int, int]
) -> NetworkSummary:
    """Builds a network and counts what it costs.

    Args:
        genotype: The path and the cell.
        filters: F, the width.
        classes: The number of classes.
        image_size: (height, width) of the image that the multiply-adds are for.

    Raises:
        UserError: No such network can be built.
    """
    network = build_network(genotype, classes, filters=filters)
    parts = tuple(count_layers(network, image_size))
    return NetworkSummary(genotype, filters, classes, image_size, parts)
