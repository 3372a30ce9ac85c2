"""Writes a network as an ONNX file, which many engines run.

Class names, colors and what else exports carry are in the file's metadata, by file name.
"""

import dataclasses
import os
from typing import TYPE_CHECKING, Any

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.foundations.atomic_file import replacing
from auto_deeplab.search_space import Genotype
from auto_deeplab.serving.export.options import ExportOptions

if TYPE_CHECKING:
    import onnx
    import tf_keras

# Of 2022, so that engines know it.
_OPSET = 18


def export_onnx(
    model: "tf_keras.Model",
    description: DatasetDescription,
    genotype: Genotype | None,
    output: str | os.PathLike,
    options: ExportOptions | None = None,
    metrics: dict[str, Any] | None = None,
) -> None:
    """Writes a network as an ONNX file.

    Args:
        model: Maps normalized images to logits at the images' size.
        description: Of the classes.
        genotype: Of the network, or None.
        output: The new file.
        options: See `ExportOptions`; with `input_size` the network takes one image of that very
            size.
        metrics: To carry along; see `assets.collect_metrics`.

    Raises:
        UserError: The file exists or cannot be written.
    """
    import onnx
    import tf2onnx

    from auto_deeplab.serving.export.one_function import OneFunction, asset_texts, check_free
    from auto_deeplab.serving.export.to_saved_model import writing

    check_free(output)
    options = options or ExportOptions()
    # Free sizes at first: for fixed ones tf2onnx writes resizing by factors, whose products with a
    # size may be rounded to one pixel less.
    at_any_size = dataclasses.replace(options, input_size=None)
    module = OneFunction(model, description.palette, at_any_size)
    converted, _ = tf2onnx.convert.from_function(
        module.serve, input_signature=[module.images], opset=_OPSET
    )
    _pad_explicitly(converted)
    _set_axes(converted, options.input_size)
    with writing(output):  # Their folder is a temporary one, of a disk that may be full as well.
        texts = asset_texts(description, genotype, options, metrics)
    onnx.helper.set_model_props(converted, texts)
    onnx.checker.check_model(converted)
    with replacing(output) as temporary:
        onnx.save(converted, temporary)


def _pad_explicitly(model: "onnx.ModelProto") -> None:
    """Replaces SAME padding of convolutions with stride 1 by its numbers of pixels.

    They do not depend on the image's size, and ONNX Runtime has no dilated convolution with SAME.
    """
    from onnx import helper

    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if (
            node.op_type != "Conv"
            or attributes.get("auto_pad") != b"SAME_UPPER"
            or set(attributes["strides"]) != {1}
        ):
            continue
        totals = [
            (taps - 1) * rate
            for taps, rate in zip(attributes["kernel_shape"], attributes["dilations"], strict=True)
        ]
        pads = [total // 2 for total in totals] + [total - total // 2 for total in totals]
        kept = [a for a in node.attribute if a.name != "auto_pad"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("pads", pads)])


def _set_axes(model: "onnx.ModelProto", input_size: tuple[int, int] | None) -> None:
    """Gives the free axes of images and of what is predicted their names, or sizes for good."""
    for value in (*model.graph.input, *model.graph.output):
        axes = value.type.tensor_type.shape.dim
        for axis, name, size in zip(
            axes, ("batch", "height", "width"), (1, *(input_size or (0, 0))), strict=False
        ):
            if input_size:
                axis.dim_value = size
            else:
                axis.dim_param = name
