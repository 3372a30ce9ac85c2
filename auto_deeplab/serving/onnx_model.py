"""Networks as ONNX files, which many engines run; here it is ONNX Runtime.

Class names, colors and what else exports carry are in the file's metadata, by file name.
"""

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from auto_deeplab.data.description import FILE_NAME, DatasetDescription
from auto_deeplab.foundations.atomic_file import replacing
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import Genotype
from auto_deeplab.serving.class_maps import ExportedNetwork, checked, loading
from auto_deeplab.serving.fitted_images import class_maps_of_any_size
from auto_deeplab.serving.options import ExportOptions

if TYPE_CHECKING:
    import onnx
    import tf_keras

# Of 2022, so that engines know it.
_OPSET = 18


def export_onnx(
    model: "tf_keras.Model",
    description: DatasetDescription,
    genotype: Genotype | None,
    path: str | os.PathLike,
    options: ExportOptions | None = None,
    metrics: dict[str, Any] | None = None,
) -> None:
    """Writes a network as an ONNX file.

    Args:
      model: maps normalized images to logits at the images' size.
      description: of the classes.
      genotype: of the network, or None.
      path: the new file.
      options: see `ExportOptions`; with `input_size` the network takes one image of that very size.
      metrics: to carry along; see `assets.collect_metrics`.

    Raises:
      UserError: the file exists or cannot be written.
    """
    import onnx
    import tf2onnx

    from auto_deeplab.serving.exporting import writing
    from auto_deeplab.serving.single_file import OneFunction, asset_texts, check_free

    check_free(path)
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
    with writing(path):  # Their folder is a temporary one, of a disk that may be full as well.
        texts = asset_texts(description, genotype, options, metrics)
    onnx.helper.set_model_props(converted, texts)
    onnx.checker.check_model(converted)
    with replacing(path) as temporary:
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


def load_onnx(path: str | os.PathLike) -> ExportedNetwork:
    """Loads an ONNX file that `export_onnx` wrote.

    One that was written for a size takes images of others too: they are scaled for it.

    Raises:
      UserError: the file is none.
    """
    import onnxruntime

    what = "what auto_deeplab.export --format=onnx writes"
    with loading(path, "cannot be loaded as an ONNX file", what):
        session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
        text = session.get_modelmeta().custom_metadata_map.get(FILE_NAME)
        inputs = [value.name for value in session.get_inputs()]
        outputs = [value.name for value in session.get_outputs()]
        if inputs != ["images"] or "class_map" not in outputs or text is None:
            raise UserError(
                f"{path}: received an ONNX file with the inputs {inputs} and the outputs {outputs}"
                f"{'' if text else f' and without {FILE_NAME}'}; expected {what}"
            )
        shape = session.get_inputs()[0].shape
    description = DatasetDescription.from_json(text, str(path))

    def class_maps(images: np.ndarray) -> np.ndarray:
        return session.run(["class_map"], {"images": images})[0]

    class_maps = checked(class_maps, len(description.classes), str(path))
    return ExportedNetwork(str(path), class_maps_of_any_size(class_maps, shape), description)
