"""Loads an exported network, whatever its format is, with the engine that runs it."""

from auto_deeplab.serving.segmenter import ExportedNetwork, checked

# Each engine takes seconds to import: only the one that is asked for is.


def load_exported(kind: str, path: str) -> ExportedNetwork:
    """Loads what `python -m auto_deeplab.export` wrote.

    Args:
        kind: "saved_model", "tflite", "onnx"; or "openvino" for a SavedModel that OpenVINO runs.
        path: The file; of a SavedModel NAME/VERSION, or NAME for its newest version.

    Raises:
        UserError: There is no such export.

    Example:
        The tests skip it, since they would first have to export a network.

        >>> network = load_exported("onnx", "exported/street_scenes.onnx")  # doctest: +SKIP
        >>> network.class_maps(images_uint8).shape == images_uint8.shape[:3]  # doctest: +SKIP
        True
    """
    if kind == "tflite":
        from auto_deeplab.serving.engines.litert import load_tflite

        return load_tflite(path)
    if kind == "onnx":
        from auto_deeplab.serving.engines.onnx_runtime import load_onnx

        return load_onnx(path)

    from auto_deeplab.serving.export.assets import load_description
    from auto_deeplab.serving.export.versions import find_version

    version = find_version(path)
    description = load_description(version)
    if kind == "openvino":
        from auto_deeplab.serving.engines.openvino import class_maps_of_openvino

        class_maps = class_maps_of_openvino(version)
    else:
        from auto_deeplab.serving.engines.saved_model import class_maps_of_saved_model

        class_maps = class_maps_of_saved_model(version)
    class_maps = checked(class_maps, len(description.classes), str(version))
    return ExportedNetwork(str(version), class_maps, description)
