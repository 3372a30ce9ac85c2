"""The drawn street scenes as a `tensorflow_datasets` builder, which needs no download.

Importing this module registers it:

    import tensorflow_datasets as tfds
    import auto_deeplab.data.street_scenes.tfds_builder

    train = tfds.load("auto_deeplab_street_scenes", split="train")
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from auto_deeplab.data.conversion.label_table import LabelTable
from auto_deeplab.data.datasets.cityscapes import TRAIN_IDS
from auto_deeplab.data.street_scenes.composition import draw_scene


@dataclasses.dataclass(kw_only=True)
class StreetScenesConfig(tfds.core.BuilderConfig):
    """The parameters of a set of street scenes, as in `street_scenes.street_scenes`."""

    train_images: int = 400
    val_images: int = 60
    height: int = 256
    width: int = 512
    seed: int = 0


class AutoDeeplabStreetScenes(tfds.core.GeneratorBasedBuilder):
    """Drawn street scenes with a train id (0..18, or 255 to ignore) for each pixel."""

    # The minor version follows street_scenes.DRAWING_VERSION.
    VERSION = tfds.core.Version("1.1.0")
    BUILDER_CONFIGS = (
        StreetScenesConfig(name="small", description="400 + 60 scenes of 256x512 pixels."),
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Procedurally drawn street scenes with the 19 Cityscapes classes.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
                    "segmentation_label": tfds.features.Image(
                        shape=(None, None, 1), encoding_format="png"
                    ),
                    "file_name": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "segmentation_label"),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager
        config = self.builder_config
        return {
            "train": self._generate_examples("train", config.train_images),
            "val": self._generate_examples("val", config.val_images),
        }

    def _generate_examples(self, split: str, count: int) -> Iterator[tuple[int, dict]]:
        config, table = self.builder_config, LabelTable(TRAIN_IDS)
        for index in range(count):
            image, label = draw_scene(config.seed, split, index, config.height, config.width)
            train_ids: np.ndarray = table.apply(label)
            yield (
                index,
                {
                    "image": image,
                    "segmentation_label": train_ids[..., np.newaxis],
                    "file_name": f"{split}_{index:06d}.png",
                },
            )
