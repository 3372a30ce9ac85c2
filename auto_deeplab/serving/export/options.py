"""What an export is asked for."""

import dataclasses

from auto_deeplab.foundations.errors import UserError, argument, require_known

OUTPUTS = ("class_map", "probabilities", "colored_map")
KERNEL_DTYPES = ("float32", "float16", "bfloat16")
# Of TFLite files.
PRECISIONS = ("float32", "float16", "int8")
# What an exported network takes from its clients unless more is asked for: 4096x4096, more than a
# telephone's usual 4000x3000. At their own size such images take several gigabytes of memory.
MOST_PIXELS_IN_REQUESTS = 16_777_216


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """How an exported network treats images and what it returns.

    Args:
        outputs: `class_map`, and what else is wanted of `OUTPUTS`.
        input_size: (height, width) that the network always runs at: images are scaled to fit and
            padded, and what is predicted is scaled back. None runs it at each image's own size.
        scales: Of the views whose probabilities are averaged.
        flip: Whether each view is predicted mirrored, too.
        fold_batch_norm: Whether batch norm becomes a part of the convolutions.
        kernel_dtype: What the convolutions' kernels are stored in, one of `KERNEL_DTYPES`.
        max_pixels: Images with more pixels are refused before they are decoded.

    Raises:
        UserError: A value is out of range.
    """

    outputs: tuple[str, ...] = ("class_map",)
    input_size: tuple[int, int] | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    fold_batch_norm: bool = True
    kernel_dtype: str = "float32"
    max_pixels: int = MOST_PIXELS_IN_REQUESTS

    def __post_init__(self) -> None:
        require_known("outputs", self.outputs, OUTPUTS)
        if "class_map" not in self.outputs:
            raise UserError(
                f"{argument('outputs')}: received {','.join(self.outputs)!r}; expected class_map "
                "among them"
            )
        require_known("kernel_dtype", [self.kernel_dtype], KERNEL_DTYPES)
        if self.max_pixels < 1:
            raise UserError(
                f"{argument('max_pixels')}: received {self.max_pixels}; expected at least 1"
            )

    @property
    def several_views(self) -> bool:
        """Whether predictions are the mean of more than the image as it is."""
        return self.flip or self.scales != (1.0,)
