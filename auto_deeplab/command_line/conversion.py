"""What the commands tools/convert_*.py share: their flags, and what they do with a plan.

A command adopts this module's flags (`flags.adopt_module_key_flags`) and calls `run(plan)`.
"""

import collections
import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.data.image_files import MOST_PIXELS_IN_FILES, MOST_PIXELS_IN_RECORDS
from auto_deeplab.foundations.errors import UserError

if TYPE_CHECKING:
    from auto_deeplab.data.conversion.plan import Conversion

OUTPUT_DIR = command_line.define_path("output_dir", None, "Folder to make.", required=True)
SCALE = flags.DEFINE_float("scale", 1.0, "Factor of height and width, at most 1.")
LONGER_SIDE = flags.DEFINE_integer(
    "longer_side", None, "The most pixels of the longer side; larger images shrink. 0: no limit."
)
_MAX_PIXELS = flags.DEFINE_integer(
    "max_pixels",
    MOST_PIXELS_IN_FILES,
    "Images with more pixels are refused before they are decoded: a file of a few kilobytes can "
    "claim a size that fills the memory. Raise it for images that are as large; each thread takes "
    "some 15 bytes a pixel. TensorFlow decodes none above the largest value.",
    lower_bound=1,
    upper_bound=MOST_PIXELS_IN_RECORDS,
)
_EXAMPLES_PER_SHARD = flags.DEFINE_integer(
    "examples_per_shard", 100, "The most examples in a TFRecord file.", lower_bound=1
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace the output folder if it is not empty, once the new one is done."
)
_DRY_RUN = flags.DEFINE_bool(
    "dry_run", False, "Read everything, write nothing: list what would be done and every problem."
)
_VERIFY = flags.DEFINE_bool(
    "verify", False, "Convert nothing: compare the finished output with the inputs, all of both."
)
_SKIP_BAD = flags.DEFINE_bool(
    "skip_bad", False, "Leave out inputs that cannot be used, and list them."
)
_NUM_WORKERS = flags.DEFINE_integer(
    "num_workers", None, "Threads; by default one a core. The output is the same.", lower_bound=1
)
_RUNNER = flags.DEFINE_string(
    "runner", None, "Convert with this Apache Beam runner instead, such as DirectRunner."
)
_RUNNER_OPTIONS = flags.DEFINE_multi_string(
    "runner_option", [], "An option for Beam's pipeline, such as --region=europe-west1; repeatable."
)
flags.register_multi_flags_validator(
    ["dry_run", "verify"],
    lambda values: not (values["dry_run"] and values["verify"]),
    "--dry_run and --verify exclude each other",
)


def run(plan: Callable[[], "Conversion"]) -> None:
    """Converts what `plan` gives, or as the flags say looks at it or verifies the result."""
    import tensorflow as tf

    # The processor decodes; TensorFlow would take the memory of GPUs all the same.
    tf.config.set_visible_devices([], "GPU")
    conversion = dataclasses.replace(
        plan(),
        scale=SCALE.value,
        longer_side=LONGER_SIDE.value or None,
        max_pixels=_MAX_PIXELS.value,
        examples_per_shard=_EXAMPLES_PER_SHARD.value,
    )
    if _DRY_RUN.value:
        _dry_run(conversion)
    elif _VERIFY.value:
        _verify(conversion)
    else:
        _convert(conversion)


def _convert(conversion: "Conversion") -> None:
    from auto_deeplab.data.conversion.engine import convert

    write_shards = None
    if _RUNNER.value:
        from auto_deeplab.data.conversion.beam import write_shards_with_beam

        write_shards = functools.partial(
            write_shards_with_beam, _RUNNER.value, _RUNNER_OPTIONS.value
        )
    description = convert(
        conversion,
        OUTPUT_DIR.value,
        overwrite=_OVERWRITE.value,
        workers=_NUM_WORKERS.value,
        skip_bad=_SKIP_BAD.value,
        write_shards=write_shards,
    )
    label_pixels = _written_label_pixels(conversion)
    _print_histogram(conversion, label_pixels)
    _print_remarks(conversion, label_pixels)
    counts = ", ".join(f"{count} {split}" for split, count in description.splits.items())
    print(f"{OUTPUT_DIR.value}: {counts} examples of {len(description.classes)} classes")


def _dry_run(conversion: "Conversion") -> None:
    from auto_deeplab.data.conversion.dry_run import dry_run
    from auto_deeplab.data.conversion.engine import refuse_non_empty
    from auto_deeplab.data.conversion.plan import list_problems
    from auto_deeplab.data.conversion.shards import plan_shards

    output = Path(OUTPUT_DIR.value)
    found = dry_run(conversion, _NUM_WORKERS.value)
    shards = plan_shards(conversion)
    print(f"{output}: would hold {conversion.name}, {len(conversion.classes)} classes")
    for split, split_survey in found.splits.items():
        files = sum(shard.split == split for shard in shards)
        sizes = sorted(split_survey.sizes.items(), key=lambda item: -item[1])
        size_text = ", ".join(f"{count} of {size}" for size, count in sizes[:5])
        more = f", {len(sizes) - 5} other sizes" if len(sizes) > 5 else ""
        print(
            f"  {split}: {split_survey.examples} examples in {files} "
            f"file{'s' * (files != 1)}: {size_text}{more}"
        )
    label_pixels = {split: own.label_pixels for split, own in found.splits.items()}
    _print_histogram(conversion, label_pixels)
    warnings = _print_remarks(conversion, label_pixels)
    problems, refusals = [*conversion.problems, *found.problems], []
    if problems:
        consequence = "left out" if _SKIP_BAD.value else "nothing would be written"
        print(list_problems(problems, consequence=consequence, most=None))
    try:
        conversion.check()
        refuse_non_empty(output, _OVERWRITE.value)
    except UserError as error:
        refusals.append(str(error))
    parent = next(path for path in output.absolute().parents if path.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)):
        refusals.append(f"{output}: cannot be written: {parent} is no folder to write in")
    refusals += [
        f"split {split}: no example is left"
        for split, own in found.splits.items()
        if not own.examples and _SKIP_BAD.value
    ]
    if refusals:
        raise UserError("\n".join(refusals))
    if problems and not _SKIP_BAD.value:
        raise UserError("repair these inputs, or leave them out with --skip_bad")
    if not problems:
        print("no errors, but read the warnings" if warnings else "no problems")


def _verify(conversion: "Conversion") -> None:
    from auto_deeplab.data.conversion.verification import verify

    result = verify(conversion, OUTPUT_DIR.value, _NUM_WORKERS.value)
    if result.problems:
        count = len(result.problems)
        listed = "\n  ".join(result.problems)
        raise UserError(f"{count} problem{'s' * (count > 1)} with the output:\n  {listed}")
    _print_histogram(
        conversion,
        {split: dict(enumerate(pixels)) for split, pixels in result.label_pixels.items()},
    )
    print(f"{OUTPUT_DIR.value}: {result.examples} examples are what the inputs give")


def _written_label_pixels(conversion: "Conversion") -> dict[str, dict[int, int]]:
    """Returns for each split how many pixels of the finished output have each label."""
    from auto_deeplab.data.conversion.shards import plan_shards, read_manifest

    written = read_manifest(Path(OUTPUT_DIR.value))["shards"]
    label_pixels: dict[str, dict[int, int]] = {
        split: collections.Counter() for split in conversion.splits
    }
    for shard in plan_shards(conversion):
        for label, pixels in written[shard.name]["label_pixels"].items():
            label_pixels[shard.split][int(label)] += pixels
    return label_pixels


def _print_remarks(
    conversion: "Conversion", label_pixels: Mapping[str, Mapping[int, int]]
) -> Sequence[str]:
    """Prints what was noted of the input, and returns the warnings that it prints after that."""
    from auto_deeplab.data.conversion.dry_run import label_warnings

    for note in conversion.notes:
        print(f"note: {note}", file=sys.stderr)
    warnings = label_warnings(conversion, label_pixels)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return warnings


def _print_histogram(conversion: "Conversion", label_pixels: dict[str, dict[int, int]]) -> None:
    """Prints the share of each class among the pixels of each split."""
    from rich.console import Console

    from auto_deeplab.foundations.text_table import TextTable

    table = TextTable("class", "label")
    for split in label_pixels:
        table.add_column(f"{split}: % of pixels", justify="right")
    names = [*enumerate(conversion.classes), (conversion.ignore_label, "(ignored)")]
    for label, name in names:
        shares = [
            100 * pixels.get(label, 0) / max(1, sum(pixels.values()))
            for pixels in label_pixels.values()
        ]
        table.add_row(name, str(label), *(f"{share:.3f}" if share else "-" for share in shares))
    Console().print(table)
