"""Numbers as people read them."""

import pytest

from auto_deeplab.foundations.amounts import figure_text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("seconds_per_step", 0.0123456, "0.01235"),
        ("validation_seconds", 999.96, "1000"),
        ("validation_seconds", 12345.6, "12346"),
        ("expected_multiply_adds", 12345.6, "12.35K"),
        ("decoded_parameters", 10147427, "10.15M"),
        ("loss", 0.5, "0.5"),
        ("val_mean_iou", None, "does not exist"),
    ],
)
def test_only_seconds_are_never_shortened(name, value, text):
    assert figure_text(name, value) == text
