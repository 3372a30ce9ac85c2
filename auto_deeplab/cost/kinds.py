"""What can be counted of a network: its parameters, and its multiply-adds at an image size.

A gin file names one of them: `Search.cost = @multiply_adds()` with `multiply_adds.image_size =
(513, 1025)`, or `Search.cost = @parameters()`.
"""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import tf_keras

from auto_deeplab.foundations.configurable import Size, configurable
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.counting import count_parameters, multiply_adds_of
from auto_deeplab.models.pixel_grid import pixel_grid, size_on_grid
from auto_deeplab.search_space import STEM, TrellisGraph


class Cost(abc.ABC):
    """A kind of cost: what it is of a network is the sum over the network's parts (`parts.py`).

    A further kind says what layers cost that were built, and all else follows from it. Costs are
    whole numbers, so that their sums are exact: a latency would be one of nanoseconds.

    Attributes:
        name: As in the names of metrics.
        unit: What it counts, in words.
    """

    name: ClassVar[str]
    unit: ClassVar[str]

    @abc.abstractmethod
    def of_layers(
        self, network: tf_keras.Model, layers: Sequence[tf_keras.layers.Layer]
    ) -> list[int]:
        """Returns what each of some layers costs, with all that it holds.

        Args:
            network: A final network.
            layers: Wherever in it they are.
        """

    def check(self, trellis: TrellisGraph) -> None:  # noqa: B027 (not all have to look)
        """Looks whether equal parts cost the same on all paths.

        Raises:
            UserError: They do not.
        """


@dataclass(frozen=True)
class Parameters(Cost):
    """Trainable parameters."""

    name = "parameters"
    unit = "parameters"

    def of_layers(
        self, network: tf_keras.Model, layers: Sequence[tf_keras.layers.Layer]
    ) -> list[int]:
        """Returns the trainable parameters of each layer."""
        return [count_parameters(layer) for layer in layers]


@dataclass(frozen=True)
class MultiplyAdds(Cost):
    """The multiply-adds of convolutions for one image.

    Args:
        image_size: Its (height, width).
    """

    image_size: tuple[int, int]

    name = "multiply_adds"
    unit = "multiply-adds"

    def of_layers(
        self, network: tf_keras.Model, layers: Sequence[tf_keras.layers.Layer]
    ) -> list[int]:
        """Returns the multiply-adds of each layer."""
        return multiply_adds_of(network, layers, self.image_size)

    def check(self, trellis: TrellisGraph) -> None:
        """Looks whether images are filled up to the same size on all paths.

        A network fills them up to the grid of its own coarsest stride.

        Raises:
            UserError: They are not.
        """
        coarsest = {max(STEM.stride, stride) for stride in trellis.strides}
        largest = max(coarsest)
        sizes = {
            tuple(int(size_on_grid(length, stride)) for length in self.image_size)
            for stride in coarsest
        }
        if pixel_grid() and len(sizes) > 1:
            near = tuple(int(size_on_grid(length, largest)) for length in self.image_size)
            raise UserError(
                f"multiply_adds.image_size: received {self.image_size}, which is filled up to "
                f"different sizes on paths of different strides; expected heights and widths of "
                f"the form {largest}k or {largest}k+1, such as {near}"
            )


@configurable
def parameters() -> Parameters:
    """Returns the kind of cost that counts trainable parameters."""
    return Parameters()


@configurable
def multiply_adds(image_size: Size = (1025, 2049)) -> MultiplyAdds:
    """Returns the kind of cost that counts the multiply-adds of convolutions, as `summary` does.

    Args:
        image_size: (height, width) of the image. All paths have to fill it up to the same size:
            with strides up to 32 it has the form 32k or 32k + 1.
    """
    return MultiplyAdds(image_size)
