"""The flags --distribution, --tpu and --logical_cpus: on what a command runs."""

from collections.abc import Callable

from absl import flags

from auto_deeplab.distribution.settings import DISTRIBUTIONS, Distribution

# What is defined here belongs to the help of the command that asks for it.
flags.disclaim_key_flags()


def define_flags() -> Callable[[], Distribution]:
    """Defines the three flags; returns the function that tells, once they are read, what they say.

    The function raises a `UserError` where they are wrong.
    """
    name = flags.DEFINE_string(
        "distribution",
        "none",
        "; ".join(f"{name}: {meaning}" for name, meaning in DISTRIBUTIONS.items()) + ".",
    )
    tpu = flags.DEFINE_string(
        "tpu", None, "With --distribution=tpu, the TPU's name, or local for that of this machine."
    )
    logical_cpus = flags.DEFINE_integer(
        "logical_cpus",
        None,
        "With --distribution=mirrored, divides the processor into this many replicas, to try it "
        "without GPUs.",
        lower_bound=1,
    )
    return lambda: Distribution(name.value, tpu.value, logical_cpus.value)


def flags_of(distribution: Distribution) -> list[str]:
    """Returns the flags that ask for a distribution, for a command to pass on."""
    given = {
        "distribution": distribution.name,
        "tpu": distribution.tpu,
        "logical_cpus": distribution.logical_cpus,
    }
    return [f"--{name}={value}" for name, value in given.items() if value is not None]
