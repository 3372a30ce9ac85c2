"""The flags by which commands change values of a gin file."""

from collections.abc import Callable

from absl import flags

# What is defined here belongs to the help of the command that asks for it.
flags.disclaim_key_flags()


def define_flags() -> Callable[[], list[str]]:
    """Defines `--gin_param` and the flags that are short for one.

    Returns:
        A function that tells, once the flags are read, the gin parameters that they amount to, such
        as "Search.epochs = 10". What a value may be is the business of what it configures.
    """
    parameters = flags.DEFINE_multi_string(
        "gin_param", [], "Replaces a value of the file, such as Search.epochs=10."
    )
    short: dict[str, flags.FlagHolder] = {}

    def define_short(define: Callable, name: str, parameter: str, help: str) -> None:
        short[parameter] = define(name, None, f'{help} Short for --gin_param="{parameter} = ...".')

    define_short(
        flags.DEFINE_string,
        "mixed_precision",
        "configure_runtime.mixed_precision",
        "What networks compute in: bfloat16, or float16 with loss scaling; none: float32. Weights, "
        "alpha, beta and losses stay float32.",
    )
    define_short(
        flags.DEFINE_bool,
        "ignore_corrupt",
        "open_records.ignore_corrupt",
        "Read all records first and leave out the corrupt ones, which are listed.",
    )
    return lambda: [
        *parameters.value,
        *(
            f"{parameter} = {flag.value!r}"
            for parameter, flag in short.items()
            if flag.value is not None
        ),
    ]
