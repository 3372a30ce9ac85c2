r"""Converts PASCAL VOC 2012 into TFRecords and dataset.json; with SBD also train_aug.

Expects the layout of VOCtrainval_11-May-2012.tar, and for the test images of the test download:

  VOC_ROOT/JPEGImages/2007_000032.jpg
  VOC_ROOT/SegmentationClass/2007_000032.png
  VOC_ROOT/ImageSets/Segmentation/train.txt, val.txt, trainval.txt, test.txt

and of SBD's benchmark.tgz, whose annotations make the usual training set of 10,582 images,
train_aug: VOC's train and all of SBD without VOC's val.

  SBD_ROOT/cls/2008_000002.mat
  SBD_ROOT/img/2008_000002.jpg

  python -m tools.convert_voc2012 --voc_root=VOCdevkit/VOC2012 --sbd=benchmark_RELEASE/dataset \
      --output_dir=datasets/voc2012_aug

All problems with the files are listed together, and nothing is written while there are any, unless
--skip_bad leaves them out. --dry_run only looks; --verify compares a finished result with its
inputs. An interrupted conversion continues when the same command is run again.
"""

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.data import conversion_command

_ROOT = command_line.define_path(
    "voc_root", None, "Folder VOC2012, or VOCdevkit, or the one above.", required=True
)
_SBD = command_line.define_path("sbd", None, "Folder of SBD with cls and img, or one above.")
_SPLITS = flags.DEFINE_list(
    "splits",
    None,
    "Splits to convert: train, val, trainval, test and, with --sbd, train_aug. By default "
    "train,val, or train_aug,val with --sbd.",
)

flags.adopt_module_key_flags(conversion_command)


def main(argv: list[str]) -> None:
    del argv
    from auto_deeplab.data.voc2012 import voc2012_conversion

    conversion_command.run(lambda: voc2012_conversion(_ROOT.value, _SPLITS.value, _SBD.value))


if __name__ == "__main__":
    command_line.run(main)
