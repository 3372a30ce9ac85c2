"""Initial values of the convolutions' kernels, by the names that gin files use."""

from typing import Annotated, Any

from annotated_types import Predicate, doc

# What `tf_keras.initializers.get` makes a new initializer of, for each kernel.
INITIALIZERS: dict[str, str | dict[str, Any]] = {
    "he_normal": "he_normal",
    "glorot_uniform": "glorot_uniform",
    # What the authors' code gives the cells and the stem (DeepLab's nas_network.py): a uniform
    # distribution whose variance is 1/3 divided by the number of values that an output reads. It is
    # a sixth of He's, which batch norm makes up for.
    "third_fan_in_uniform": {
        "class_name": "VarianceScaling",
        "config": {"scale": 1 / 3, "mode": "fan_in", "distribution": "uniform"},
    },
}
InitializerName = Annotated[
    str, Predicate(INITIALIZERS.__contains__), doc(f"one of {', '.join(INITIALIZERS)}")
]


def depthwise_initializer(name: str, kernel_size: int) -> str | dict[str, Any]:
    """Returns what `tf_keras.initializers.get` makes the initializer of a depthwise kernel of.

    Keras, like the authors' code, counts the values of all channels, of which an output of a
    depthwise convolution reads one. He's rule has the number that is really read.

    Args:
        name: One of `INITIALIZERS`.
        kernel_size: The kernel's height and width.
    """
    if name == "he_normal":
        return {"class_name": "RandomNormal", "config": {"stddev": 2**0.5 / kernel_size}}
    return INITIALIZERS[name]
