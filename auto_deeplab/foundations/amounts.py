"""Large numbers as people read them: 320.5B, 10.15M, 12K."""

UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}
"""What stands behind a number, and how many of one it is."""


def amount_text(value: float) -> str:
    """Returns a number with four digits, and K, M or B from a thousand, a million, a billion on.

    Example:
        >>> [amount_text(value) for value in (0.0123456, 7, 2000, 10_147_427, 320_450_382_392)]
        ['0.01235', '7', '2K', '10.15M', '320.5B']
    """
    # Rounded first: 999,990 is 1M.
    rounded = float(f"{value:.4g}")
    unit = next((unit for unit in "BMK" if abs(rounded) >= UNITS[unit]), "")
    return f"{rounded / UNITS[unit]:.4g}{unit}"


def figure_text(name: str, value: float | None) -> str:
    """Returns a metric's value for people: seconds as they are, all else as `amount_text` has it.

    Example:
        >>> figure_text("validation_seconds", 1234.5), figure_text("decoded_parameters", 1234.5)
        ('1234', '1.234K')
        >>> figure_text("val_mean_iou", None)
        'does not exist'
    """
    if value is None:
        return "does not exist"
    if "seconds" in name:
        return f"{value:.4g}" if value < 1000 else f"{value:.0f}"
    return amount_text(value)
