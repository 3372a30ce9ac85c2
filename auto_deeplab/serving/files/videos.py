"""Reads and writes videos frame by frame with OpenCV."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.foundations.files import utf8_text
from auto_deeplab.serving.files.image_files import UnreadableImage

# MPEG-4 part 2, which every build of OpenCV writes.
_CODEC = cv2.VideoWriter.fourcc(*"mp4v")
_DEFAULT_RATE = 25.0


class VideoFrames:
    """The frames of a video, in order, upright as its metadata says.

    Args:
        path: The file.

    Attributes:
        rate: Frames a second.
        count: The number of frames as the file tells it, for progress bars; None if it does not.

    Raises:
        UnreadableImage: OpenCV cannot read the file.
    """

    def __init__(self, path: Path) -> None:
        if not _is_utf8(path):
            raise UnreadableImage("OpenCV reads no video whose path is not UTF-8: rename it")
        self._capture = cv2.VideoCapture(os.fspath(path))
        if not self._capture.isOpened():
            raise UnreadableImage("not a video that OpenCV can read")
        self.rate = self._capture.get(cv2.CAP_PROP_FPS) or _DEFAULT_RATE
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.count = count if count > 0 else None

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields each frame once, uint8 [height, width, 3], RGB."""
        try:
            while True:
                read, frame = self._capture.read()
                if not read:
                    return
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            self._capture.release()


class VideoWriter:
    """Writes frames of one size; see `writing_video`."""

    def __init__(self, path: Path, rate: float) -> None:
        self.path = path
        self.rate = rate
        self.frames = 0
        self._writer: cv2.VideoWriter | None = None

    def write(self, frame: np.ndarray) -> None:
        """Appends a frame, uint8 [height, width, 3], RGB; an odd last row or column is left out."""
        # The codec's sizes are even.
        height, width = (length - length % 2 for length in frame.shape[:2])
        if self._writer is None:
            self._writer = cv2.VideoWriter(os.fspath(self.path), _CODEC, self.rate, (width, height))
        self._writer.write(cv2.cvtColor(frame[:height, :width], cv2.COLOR_RGB2BGR))
        self.frames += 1

    def close(self) -> None:
        """Ends the file."""
        if self._writer is not None:
            self._writer.release()


@contextmanager
def writing_video(path: Path, rate: float) -> Iterator[VideoWriter]:
    """Yields what writes a video to `path`, and checks when the block ends that it is whole.

    Args:
        path: The file, whose name ends with ".mp4".
        rate: Frames a second.

    Raises:
        UserError: It could not be written, for which OpenCV has no errors.
    """
    if not _is_utf8(path):
        raise UserError(
            f"{path.parent}: received a path that is not UTF-8; expected one that is, as OpenCV "
            "writes videos to no other"
        )
    writer = VideoWriter(path, rate)
    try:
        yield writer
    finally:
        writer.close()
    capture = cv2.VideoCapture(os.fspath(path))
    written = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    if written != writer.frames:
        raise UserError(
            f"{path.parent}: cannot be written: OpenCV wrote {written} of {writer.frames} frames "
            "of a video; is there space left, and are its frames at least 2x2?"
        )


def _is_utf8(path: Path) -> bool:
    return utf8_text(os.fspath(path)) == os.fspath(path)
