"""The flags by which commands take an exported network."""

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import UserError

_FLAGS = {
    "saved_model": command_line.define_path(
        "saved_model", None, "An exported SavedModel: NAME/VERSION, or NAME for its newest version."
    ),
    "tflite": command_line.define_path("tflite", None, "An exported TFLite file."),
    "onnx": command_line.define_path("onnx", None, "An exported ONNX file; ONNX Runtime runs it."),
    "openvino": command_line.define_path(
        "openvino", None, "An exported SavedModel, as for --saved_model, that OpenVINO runs."
    ),
}


def given_export() -> tuple[str, str] | None:
    """Returns which exported network the flags name: its flag and its path; or None.

    Raises:
        UserError: They name more than one.
    """
    given = [(name, flag.value) for name, flag in _FLAGS.items() if flag.value]
    if len(given) > 1:
        raise UserError(
            f"received {' and '.join(f'--{name}' for name, _ in given)}; expected one of them"
        )
    return given[0] if given else None
