"""What the operations of a traced function compute and move, from the shapes in its graph."""

import dataclasses
import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef

# Which inputs are the map after a convolution and its kernel, None for the output: together they
# say the multiply-adds of the convolution and of both its gradients.
CONVOLUTIONS = {
    "Conv2D": (None, 1),
    "Conv2DBackpropInput": (2, 1),
    "Conv2DBackpropFilter": (2, None),
    "DepthwiseConv2dNative": (None, 1),
    "DepthwiseConv2dNativeBackpropInput": (2, 1),
    "DepthwiseConv2dNativeBackpropFilter": (2, None),
}
BYTES_OF_FLOAT = 4

# Calls move nothing: what they call does.
CALLS = ("PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile")


@dataclasses.dataclass(frozen=True)
class Work:
    """What one run of an operation takes: multiply-adds, and bytes read and written."""

    multiply_adds: int
    bytes: int


def works(graph: "GraphDef") -> dict[tuple[str, str], Work]:
    """Returns (operation's name, type) -> work, for all functions of a graph.

    Names that occur in several functions must have the same shapes there.

    Args:
        graph: From `as_graph_def(add_shapes=True)`.
    """
    found = {}
    for arguments, nodes in (
        ({}, graph.node),
        *(
            (
                {
                    argument.name: _shape(function.arg_attr[index].attr["_output_shapes"], 0)
                    for index, argument in enumerate(function.signature.input_arg)
                },
                function.node_def,
            )
            for function in graph.library.function
        ),
    ):
        outputs = {node.name: node.attr["_output_shapes"] for node in nodes}
        for node in nodes:
            if node.op in CALLS:
                continue
            read = [
                _input_shape(name, arguments, outputs)
                for name in node.input
                if not name.startswith("^")
            ]
            written = [
                _shape(outputs[node.name], index)
                for index in range(len(outputs[node.name].list.shape))
            ]
            found[node.name, node.op] = Work(
                _multiply_adds(node.op, read, written),
                BYTES_OF_FLOAT
                * sum(math.prod(shape) for shape in read + written if shape is not None),
            )
    return found


def _multiply_adds(op, read, written):
    if op == "MatMul" and read[0] and written[0]:
        return math.prod(written[0]) * math.prod(read[0]) // max(written[0][0], 1)
    if op not in CONVOLUTIONS:
        return 0
    map_, kernel = (written[0] if index is None else read[index] for index in CONVOLUTIONS[op])
    if not map_ or not kernel:
        return 0
    rows, columns, inputs, outputs = kernel
    positions = math.prod(map_[:3])
    return positions * rows * columns * inputs * outputs


def _input_shape(name, arguments, outputs):
    """The shape behind an input's name: an argument, "node:index" or "node:output:index"."""
    node, *rest = name.split(":")
    if node in arguments:
        return arguments[node]
    if node not in outputs:
        return None
    # Outputs are counted within their names; of those with several, batch norm's first is the map,
    # and the others are small.
    index = int(rest[-1]) if rest and re.fullmatch(r"\d+", rest[-1]) else 0
    return _shape(outputs[node], index)


def _shape(attribute, index):
    shapes = attribute.list.shape
    if index >= len(shapes) or shapes[index].unknown_rank:
        return None
    sizes = [dimension.size for dimension in shapes[index].dim]
    return None if any(size < 0 for size in sizes) else sizes
