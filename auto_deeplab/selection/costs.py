"""What a network costs, and bands within which its costs have to be."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import tf_keras

from auto_deeplab.foundations.errors import argument
from auto_deeplab.models.counting import count_multiply_adds, count_parameters
from auto_deeplab.search_space import Genotype

Band = tuple[float, float]
"""(least, most), both included."""
COSTS = ("parameters", "multiply_adds")
"""What is counted, in this order: the dearer count comes last."""


@dataclasses.dataclass(frozen=True)
class Counter:
    """Counts the parameters and the multiply-adds of networks.

    Args:
        build: genotype -> network.
        image_size: (height, width) at which multiply-adds are counted.
        bands: What a network may cost, by the name of the cost.
        names: What is counted, of `COSTS` and in its order.
        prefix: Stands before a cost's name in that of the argument that bounds it.
    """

    build: Callable[[Genotype], tf_keras.Model]
    image_size: tuple[int, int]
    bands: Mapping[str, Band]
    names: Sequence[str] = COSTS
    prefix: str = ""

    def count(self, genotype: Genotype) -> dict[str, int]:
        """Returns the costs by name; a network that misses a band has not all of them."""
        # Keras keeps the graph of every network that was built.
        tf_keras.backend.clear_session()
        network = self.build(genotype)
        counts: dict[str, Callable[[], int]] = {
            "parameters": functools.partial(count_parameters, network),
            "multiply_adds": functools.partial(count_multiply_adds, network, self.image_size),
        }
        costs: dict[str, int] = {}
        for name in self.names:
            costs[name] = counts[name]()
            if not self._is_within(name, costs):
                break
        return costs

    def are_within(self, costs: Mapping[str, int]) -> bool:
        """Whether costs that `count` returned are within all bands."""
        return all(self._is_within(name, costs) for name in self.bands)

    def missed(self, missed: Sequence[Mapping[str, int]]) -> str:
        """Returns, for a message, what networks cost that miss a band."""
        texts = []
        for name, (least, most) in self.bands.items():
            values = [costs[name] for costs in missed if name in costs]
            if values:
                texts.append(
                    f"{argument(f'{self.prefix}{name}')}: received {least:,.0f} to {most:,.0f}; "
                    f"these networks have {min(values):,} to {max(values):,}"
                )
        return ". ".join(texts)

    def _is_within(self, name: str, costs: Mapping[str, int]) -> bool:
        least, most = self.bands.get(name, (0, float("inf")))
        return least <= costs.get(name, -1) <= most
