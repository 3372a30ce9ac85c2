"""What every network outside of training is to the rest: a function from images to class maps.

Engines, files and servers are others' work: what they raise becomes a `UserError` here, and what
they answer is checked here, before anything believes it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.foundations.errors import UserError, one_line
from auto_deeplab.serving.files.image_files import UnreadableImage

Segmenter = Callable[[np.ndarray], np.ndarray]
"""Maps uint8 images [batch, height, width, 3] to int32 class maps [batch, height, width]."""


class ExportedNetwork(NamedTuple):
    """A network that was exported, loaded by an engine.

    Attributes:
        path: The file or the folder that it was loaded from.
        class_maps: Runs it.
        description: Its classes and colors, as the export carries them.
    """

    path: str
    class_maps: Segmenter
    description: DatasetDescription


@contextmanager
def loading(path: str | os.PathLike, problem: str, expected: str) -> Iterator[None]:
    """Turns whatever an engine raises at a file into a `UserError`.

    The errors of engines have no class in common: a damaged file may raise any.

    Args:
        path: The file or folder.
        problem: What it means, such as "cannot be loaded as an ONNX file".
        expected: What would be right.

    Raises:
        UserError: The block raised; one that is a `UserError` already stays as it is.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path}: {problem}; expected {expected}: {_reason(error)}") from error


def checked(
    class_maps: Callable[[np.ndarray], npt.ArrayLike], classes: int, source: str
) -> Segmenter:
    """Returns a function that answers as another one does, or not at all.

    Args:
        class_maps: Runs an engine, or asks a server.
        classes: How many there are in the labels.
        source: The engine's file, or the server, for messages.

    Returns:
        The function. Besides `UnreadableImage` it raises `UserError` alone: where the engine fails,
        and where an answer is not one whole number for each pixel that is a class of the labels.
    """

    def checked_class_maps(images: np.ndarray) -> np.ndarray:
        try:
            answer = class_maps(images)
        except (UserError, UnreadableImage, MemoryError):
            raise
        except Exception as error:
            raise UserError(
                f"{source}: failed at images of shape {images.shape}: {_reason(error)}"
            ) from error
        try:
            answer = np.asarray(answer)
        except ValueError as error:
            raise UserError(
                f"{source}: class_map: received rows of several lengths; expected the shape "
                f"{images.shape[:3]}, a class for each pixel"
            ) from error
        if answer.shape != images.shape[:3]:
            raise UserError(
                f"{source}: class_map: received the shape {answer.shape}; expected "
                f"{images.shape[:3]}, a class for each pixel"
            )
        if answer.dtype.kind not in "iu":
            raise UserError(f"{source}: class_map: received {answer.dtype}; expected whole numbers")
        wrong = (answer < 0) | (answer >= classes)
        if wrong.any():
            index = np.unravel_index(np.argmax(wrong), wrong.shape)
            raise UserError(
                f"{source}: class_map: received {answer[index]} at row {index[1]}, column "
                f"{index[2]}; expected 0 to {classes - 1}, the {classes} classes of the labels"
            )
        return answer.astype(np.int32, copy=False)

    return checked_class_maps


def _reason(error: Exception) -> str:
    """Returns in one line what an engine says of an error."""
    return one_line(str(error)) or type(error).__name__
