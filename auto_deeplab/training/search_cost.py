"""What a search knows of the cost of what it finds: its figures, and the pull to a target."""

import tensorflow as tf

from auto_deeplab.cost import CostTable, ExpectedCost
from auto_deeplab.foundations.amounts import amount_text
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.training.optimization.cost_penalty import CostPenalty


class SearchCost:
    """The cost that a supernet's alpha and beta stand for.

    Args:
        supernet: Whose.
        table: What the parts of the final networks of its space cost.
        most_skips: How many branches of the cell that is decoded may be `skip`; None for all.
    """

    def __init__(self, supernet: Supernet, table: CostTable, most_skips: int | None) -> None:
        self._supernet, self._table, self._most_skips = supernet, table, most_skips
        self._expected = ExpectedCost(table)

    def penalty(self, weight: float, target: float) -> CostPenalty:
        """Returns the loss that draws the expected cost to a target."""
        return CostPenalty(self._supernet.architecture_logits, self._expected, weight, target)

    def figures(self) -> dict[str, float]:
        """Returns the expected cost, and the cost of what would be decoded now, by name."""
        relaxation = self._supernet.relaxation()
        expected = self._expected(tf.constant(relaxation.alpha), tf.constant(relaxation.beta))
        decoded = relaxation.decode("now", most_skips=self._most_skips)
        name = self._table.kind.name
        return {
            f"expected_{name}": float(expected),
            f"decoded_{name}": float(self._table.cost_of(decoded)),
        }

    def texts(self) -> dict[str, str]:
        """Returns the figures as people read them."""
        return {name: amount_text(value) for name, value in self.figures().items()}
