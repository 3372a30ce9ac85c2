"""What one record holds, as plain bytes: made without TensorFlow, written by `records`."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class EncodedExample:
    """An image with its labels, as the bytes of image files.

    Args:
        name: The image's file name, which predictions and messages show.
        image: PNG or JPEG bytes of an RGB image, uint8 [height, width, 3].
        image_format: "png" or "jpeg".
        label: PNG bytes of one channel of train ids, uint8 [height, width].
        height: In pixels, of both.
        width: In pixels, of both.
    """

    name: str
    image: bytes
    image_format: str
    label: bytes
    height: int
    width: int
