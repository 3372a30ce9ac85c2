"""What the search chooses from, and what it found. Plain Python and NumPy: no TensorFlow.

A network is a cell, which every layer repeats, and a path, which says at what stride each layer
works (paper, section 3). In the order in which to read:

- `operations`: what an edge of the cell may compute.
- `cell`: `CellGraph`, the cell's blocks and the edges between them, with all that may be chosen.
- `trellis`: `TrellisGraph`, a node for each layer and stride, and the arcs that a path may take.
- `relaxation`: `Relaxation`, the choice as numbers that gradient descent can learn (section 4.1):
  alpha, a row for each edge with an entry for each operation, and beta, an entry for each arc.
  `models/supernet/textbook.py` is the network that they weigh.
- `decoding`: from alpha to a cell and from beta to a path (section 4.3).
- `perturbation`: from what the supernet loses without a part of the cell to a cell.
- `diagnosis`: `Diagnosis`, how far a search has come, and whether it has collapsed.
- `distribution`: `ArchitectureDistribution`, the same choice as probabilities of architectures.
- `genotype`: `Genotype`, a cell and a path, which a JSON file carries from one command to the next.
- `presets`: the genotypes that have a name, such as the one that the paper's authors found.
- `sampling`: genotypes drawn at random, which a search has to beat.

Example:
    >>> import numpy as np
    >>> cell, trellis = CellGraph(), TrellisGraph()
    >>> len(cell.edges), len(cell.operations), len(trellis.arcs)
    (20, 8, 105)
    >>> alpha, beta = np.zeros([20, 8]), np.zeros(105)
    >>> alpha[cell.edges.index(Edge(1, "prev")), OPERATIONS.index("sep_conv_3x3")] = 1
    >>> found = Relaxation(cell, trellis, alpha, beta).decode("found")
    >>> found.cell[0][1]
    Branch(input='prev', op='sep_conv_3x3')
    >>> len(found.network)
    12
"""

from auto_deeplab.search_space.cell import STATES, CellGraph, Edge
from auto_deeplab.search_space.decoding import decode_cell, decode_network
from auto_deeplab.search_space.diagnosis import Diagnosis, diagnose
from auto_deeplab.search_space.distribution import ArchitectureDistribution, numbered_generator
from auto_deeplab.search_space.genotype import (
    Branch,
    Genotype,
    GenotypeError,
    path_arcs,
    path_arcs_within,
)
from auto_deeplab.search_space.history import HistoryEntry, append_history, read_history
from auto_deeplab.search_space.operations import OPERATIONS
from auto_deeplab.search_space.perturbation import PerturbationEffects
from auto_deeplab.search_space.presets import PRESETS
from auto_deeplab.search_space.relaxation import (
    Relaxation,
    branch_weights,
    one_hot_operation_weights,
    searched_relaxation,
    space_values,
)
from auto_deeplab.search_space.sampling import (
    numbered_draw,
    path_of_rank,
    sample_cell,
    sample_genotype,
    sample_path,
)
from auto_deeplab.search_space.trellis import STEM, Arc, Node, TrellisGraph

__all__ = [
    "OPERATIONS",
    "PRESETS",
    "STATES",
    "STEM",
    "Arc",
    "ArchitectureDistribution",
    "Branch",
    "CellGraph",
    "Diagnosis",
    "Edge",
    "Genotype",
    "GenotypeError",
    "HistoryEntry",
    "Node",
    "PerturbationEffects",
    "Relaxation",
    "TrellisGraph",
    "append_history",
    "branch_weights",
    "decode_cell",
    "decode_network",
    "diagnose",
    "numbered_draw",
    "numbered_generator",
    "one_hot_operation_weights",
    "path_arcs",
    "path_arcs_within",
    "path_of_rank",
    "read_history",
    "sample_cell",
    "sample_genotype",
    "sample_path",
    "searched_relaxation",
    "space_values",
]
