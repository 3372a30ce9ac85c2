"""The flags of commands that predict images: which images, and what to write of them."""

from typing import TYPE_CHECKING

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.data.image_files import MOST_PIXELS_IN_FILES

if TYPE_CHECKING:
    from auto_deeplab.data.description import DatasetDescription
    from auto_deeplab.serving.files.image_files import ImageFile
    from auto_deeplab.serving.segmenter import Segmenter

_IMAGES = command_line.define_path(
    "images",
    None,
    "An image or video file, a folder of such files, or a glob in quotes. Links are followed; what "
    "is hidden below the folder is left alone.",
    required=True,
)
_OUTPUT = command_line.define_path("output", None, "The folder for the results.", required=True)
_RESULTS = flags.DEFINE_enum(
    "results", "overlays", ["overlays", "class_maps", "both"], "What to write."
)
_OPACITY = flags.DEFINE_float(
    "opacity", 0.6, "How much the colors cover the image.", lower_bound=0.0, upper_bound=1.0
)
_MAX_PIXELS = flags.DEFINE_integer(
    "max_pixels",
    MOST_PIXELS_IN_FILES,
    "Images with more pixels are refused before they are decoded: a file of a few kilobytes can "
    "claim a size that fills the memory. Raise it for images that are as large.",
    lower_bound=1,
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Predict again what has results already.")


def given_files() -> "list[ImageFile]":
    """Returns the images and videos that --images names, but for results in --output.

    Raises:
        UserError: There are none.
    """
    from auto_deeplab.serving.files.image_files import SUFFIXES, VIDEO_SUFFIXES, find_images
    from auto_deeplab.serving.files.predict_files import without_results

    suffixes = SUFFIXES + VIDEO_SUFFIXES
    files = find_images(_IMAGES.value, outside=_OUTPUT.value, suffixes=suffixes)
    return without_results(files, _OUTPUT.value)


def predict(
    files: "list[ImageFile]",
    class_maps: "Segmenter",
    description: "DatasetDescription",
    batch_size: int = 1,
) -> None:
    """Predicts files into --output and prints what was done.

    Args:
        files: As `given_files` returns them.
        class_maps: The network.
        description: Its classes and colors.
        batch_size: The most images that are predicted at once.

    Raises:
        UserError: There are files that could not be read or were refused; the message lists them.
    """
    from auto_deeplab.serving.files.predict_files import FilePredictor

    summary = FilePredictor(
        class_maps,
        description,
        _OUTPUT.value,
        results=_RESULTS.value,
        batch_size=batch_size,
        overwrite=_OVERWRITE.value,
        opacity=_OPACITY.value,
        max_pixels=_MAX_PIXELS.value,
    ).run(files)
    summary.report(_OUTPUT.value)
