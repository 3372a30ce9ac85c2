"""What the search chooses from, and what it found. Plain Python and NumPy: no TensorFlow."""

from auto_deeplab.search_space.cell import CellGraph, Edge
from auto_deeplab.search_space.decoding import decode_cell, decode_network
from auto_deeplab.search_space.genotype import Branch, Genotype, GenotypeError, path_arcs
from auto_deeplab.search_space.history import HistoryEntry, append_history, read_history
from auto_deeplab.search_space.operations import OPERATIONS
from auto_deeplab.search_space.presets import PRESETS
from auto_deeplab.search_space.relaxation import Relaxation, branch_weights, searched_relaxation
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
    "STEM",
    "Arc",
    "Branch",
    "CellGraph",
    "Edge",
    "Genotype",
    "GenotypeError",
    "HistoryEntry",
    "Node",
    "Relaxation",
    "TrellisGraph",
    "append_history",
    "branch_weights",
    "decode_cell",
    "decode_network",
    "numbered_draw",
    "path_arcs",
    "path_of_rank",
    "read_history",
    "sample_cell",
    "sample_genotype",
    "sample_path",
    "searched_relaxation",
]
