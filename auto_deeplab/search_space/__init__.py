"""What the search chooses from, and what it found. Plain Python and NumPy: no TensorFlow."""

from auto_deeplab.search_space.cell import CellGraph, Edge
from auto_deeplab.search_space.decoding import decode_cell, decode_network
from auto_deeplab.search_space.genotype import Branch, Genotype, GenotypeError
from auto_deeplab.search_space.model_dir import (
    Decoded,
    decode_model_dir,
    package_versions,
    read_epoch,
    searched_relaxation,
)
from auto_deeplab.search_space.operations import OPERATIONS
from auto_deeplab.search_space.presets import PRESETS
from auto_deeplab.search_space.relaxation import (
    HistoryEntry,
    Relaxation,
    append_history,
    read_history,
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
    "STEM",
    "Arc",
    "Branch",
    "CellGraph",
    "Decoded",
    "Edge",
    "Genotype",
    "GenotypeError",
    "HistoryEntry",
    "Node",
    "Relaxation",
    "TrellisGraph",
    "append_history",
    "decode_cell",
    "decode_model_dir",
    "decode_network",
    "numbered_draw",
    "package_versions",
    "path_of_rank",
    "read_epoch",
    "read_history",
    "sample_cell",
    "sample_genotype",
    "sample_path",
    "searched_relaxation",
]
