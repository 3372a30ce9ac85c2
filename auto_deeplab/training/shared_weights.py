"""Single architectures measured with a supernet's weights, without training them.

A supernet that guides well ranks architectures as training each of them would. Its own accuracy
says little of that: it is the mixture's, which nobody deploys.
"""

from auto_deeplab.data.pipeline import evaluation_batches
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.evaluation.inference import evaluate
from auto_deeplab.evaluation.metrics import ConfusionMatrix
from auto_deeplab.models.supernet.single_path import single_path_logits
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.search_space import Genotype


def evaluate_with_shared_weights(
    supernet: Supernet,
    genotype: Genotype,
    records: SegmentationRecords,
    batch_size: int = 16,
    limit: int | None = None,
) -> ConfusionMatrix:
    """Returns how an architecture labels the images of a split with a supernet's weights.

    Each batch is normalized with its own statistics, so a class map depends on the other images of
    its batch: compare figures of the same batch size, and take several images. The supernet is the
    same afterwards.

    Args:
        supernet: With its weights.
        genotype: In the supernet's space.
        records: The split.
        batch_size: Images a batch.
        limit: How many images; None for all.

    Raises:
        UserError: The architecture is not in the supernet's space.
    """
    moving = supernet.non_trainable_variables
    before = [variable.numpy() for variable in moving]
    description = records.description
    try:
        return evaluate(
            lambda batches: [
                single_path_logits(supernet, images, genotype).numpy() for images in batches
            ],
            evaluation_batches(records, batch_size, limit),
            len(description.classes),
            description.ignore_label,
            progress=False,
        )
    finally:
        for variable, value in zip(moving, before, strict=True):
            variable.assign(value)
