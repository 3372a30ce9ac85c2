"""What the networks of a search space cost, and what alpha and beta make one expect.

The costs are those of the final network that a genotype describes, counted on layers that are
built. In the order in which to read:

- `parts`: the parts that a network's cost is the sum of, and what each part's cost depends on.
- `probes`: a few networks that together have all parts of a space.
- `kinds`: `Cost`, what is counted: parameters, or multiply-adds at an image size.
- `table`: `CostTable`, what each part costs; `measure` builds the networks and counts.
- `bounds`: what all networks of a space cost at least, and at most.
- `probabilities`: how likely alpha and beta make each branch of the cell and step of the path.
- `expectation`: `ExpectedCost`, the expected cost as a function that gradients go through.
"""

from auto_deeplab.cost.bounds import cost_bounds
from auto_deeplab.cost.expectation import ExpectedCost
from auto_deeplab.cost.kinds import Cost, MultiplyAdds, Parameters, multiply_adds, parameters
from auto_deeplab.cost.table import CostTable, measure

__all__ = [
    "Cost",
    "CostTable",
    "ExpectedCost",
    "MultiplyAdds",
    "Parameters",
    "cost_bounds",
    "measure",
    "multiply_adds",
    "parameters",
]
