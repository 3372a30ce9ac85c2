"""Starting a training from the weights of another one."""

from collections.abc import Callable

import tf_keras

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.final.decoder import classifier_variables
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.training.checkpoints.checkpoints import load_weights


def copy_initial_weights(
    network: tf_keras.Model,
    build: Callable[[DatasetDescription], tf_keras.Model],
    description: DatasetDescription,
    source: ModelDir,
) -> int:
    """Gives a network the newest weights of another training.

    The two may have other classes: then the classifier, the layer that makes logits, keeps its
    initial values, and everything before it is copied.

    Args:
        network: The network; its layer "decoder" has the classifier.
        build: Dataset description -> a network of the same configuration for its classes.
        description: Of the dataset that `network` is for.
        source: What the other training wrote.

    Returns:
        The step that the weights are from.

    Raises:
        UserError: The folder holds no training, or one of another network.
    """
    if not (source.path / "dataset.json").is_file():
        raise UserError(
            f"Retrain.initial_model_dir: received {str(source.path)!r}, which has no dataset.json; "
            "expected a folder that python -m auto_deeplab.train wrote"
        )
    other_description = DatasetDescription.load(source.path)
    other = build(other_description)
    step = load_weights(other, source)
    kept = set()
    if other_description.classes != description.classes:
        kept = {id(variable) for variable in classifier_variables(network)}
    for variable, value in zip(network.weights, other.weights, strict=True):
        if id(variable) not in kept:
            variable.assign(value)
    return step
