"""What engines answer is a class of the labels for each pixel, or an error says what it is."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.serving.files.image_files import UnreadableImage
from auto_deeplab.serving.segmenter import checked, loading

SHAPE = (2, 3, 4)
IMAGES = np.zeros([*SHAPE, 3], np.uint8)


def answering(answer, classes=19):
    return checked(lambda images: answer, classes, "net.onnx")(IMAGES)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64])
def test_whole_numbers_of_any_width_are_class_maps(dtype):
    answer = np.arange(24).reshape(SHAPE) % 19
    result = answering(answer.astype(dtype))
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result, answer)


@pytest.mark.parametrize("value", [19, 200, 257, -1, 2**31 - 1, -(2**31)])
def test_a_number_that_is_no_class_is_named_with_its_place(value):
    answer = np.zeros(SHAPE, np.int32)
    answer[1, 2, 3] = value
    with pytest.raises(
        UserError,
        match=rf"^net\.onnx: class_map: received {value} at row 2, column 3; expected 0 to 18",
    ):
        answering(answer)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.zeros(SHAPE, np.float32), "received float32; expected whole numbers"),
        (np.zeros(SHAPE, bool), "received bool; expected whole numbers"),
        (np.full(SHAPE, None), "received object; expected whole numbers"),
        (np.full(SHAPE, "1"), "received <U1; expected whole numbers"),
        (np.zeros([1, 3, 4], np.int32), r"received the shape \(1, 3, 4\); expected \(2, 3, 4\)"),
        (np.zeros([2, 4, 3], np.int32), r"received the shape \(2, 4, 3\); expected \(2, 3, 4\)"),
        (np.zeros([*SHAPE, 1], np.int32), r"received the shape \(2, 3, 4, 1\); expected"),
        (np.int32(0), r"received the shape \(\); expected"),
        (None, r"received the shape \(\); expected"),
        ([[[0, 0], [0]]], "received rows of several lengths; expected the shape"),
        ([], r"received the shape \(0,\); expected"),
    ],
)
def test_other_answers_are_named(answer, message):
    with pytest.raises(UserError, match=rf"^net\.onnx: class_map: {message}"):
        answering(answer)


@settings(deadline=None, max_examples=50)
@given(
    answer=arrays.arrays(
        dtype=st.one_of(arrays.integer_dtypes(), arrays.scalar_dtypes()),
        shape=st.one_of(st.just(SHAPE), arrays.array_shapes(min_dims=0, max_dims=4, max_side=4)),
        elements=None,
    ),
    classes=st.integers(1, 255),
)
def test_any_array_is_a_class_map_or_an_error(answer, classes):
    right = (
        answer.shape == SHAPE
        and answer.dtype.name.startswith(("int", "uint"))
        and all(0 <= value < classes for value in answer.ravel().tolist())
    )
    if right:
        assert answering(answer, classes).tolist() == answer.tolist()
    else:
        with pytest.raises(UserError, match=r"^net\.onnx: class_map: "):
            answering(answer, classes)


@pytest.mark.parametrize("error", [RuntimeError("a\nb"), IndexError(), KeyError("class_map")])
def test_an_engine_that_fails_is_named_in_one_line(error):
    def fail(images):
        raise error

    with pytest.raises(UserError, match=r"^net\.onnx: failed at images of shape \(2, 3, 4, 3\): ."):
        checked(fail, 19, "net.onnx")(IMAGES)
    with (
        pytest.raises(
            UserError,
            match=r"^net\.onnx: cannot be loaded; expected better: (a b|IndexError|'class_m)",
        ),
        loading("net.onnx", "cannot be loaded", "better"),
    ):
        raise error


@pytest.mark.parametrize("kind", [UserError, UnreadableImage, MemoryError])
def test_what_says_enough_stays_as_it_is(kind):
    def fail(images):
        raise kind("as it is")

    with pytest.raises(kind, match=r"^as it is$"):
        checked(fail, 19, "net.onnx")(IMAGES)
