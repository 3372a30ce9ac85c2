"""Predictions for many files: results, batches, resuming, videos, files that cannot be read."""

import os

import cv2
import numpy as np
import pytest
from PIL import Image

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.serving.files.image_files import (
    SUFFIXES,
    VIDEO_SUFFIXES,
    UnreadableImage,
    find_images,
)
from auto_deeplab.serving.files.predict_files import FilePredictor, without_results

DESCRIPTION = DatasetDescription("halves", {"val": 1}, ("dark", "light"), ((90, 0, 0), (0, 90, 0)))


class Threshold:
    """A network that calls a pixel light where it is, and notes how many images came at once."""

    def __init__(self, most=1000):
        self.batches = []
        self.most = most

    def __call__(self, images):
        assert images.dtype == np.uint8
        if sum(self.batches) + len(images) > self.most:
            raise KeyboardInterrupt
        self.batches.append(len(images))
        return (images.mean(axis=-1) > 127).astype(np.int32)


def predict(network, source, output, **options):
    files = find_images(str(source), suffixes=SUFFIXES + VIDEO_SUFFIXES)
    return FilePredictor(network, DESCRIPTION, output, **options).run(files)


def names(output):
    return sorted(path.relative_to(output).as_posix() for path in output.rglob("*.*"))


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for name, size in [("a", (20, 30)), ("deep/b", (31, 17))]:
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, [*size, 3], np.uint8)).save(path)
    return tmp_path / "photos"


def test_names_that_are_no_utf8_do_not_matter(photos, tmp_path):
    name = os.fsdecode(b"caf\xe9")
    (photos / "a.png").rename(photos / f"{name}.png")
    (photos / f"{name}.mp4").write_bytes(b"")
    summary = predict(Threshold(), photos / "*.png", tmp_path / "out", results="both")
    assert summary == (1, 0, [])
    assert names(tmp_path / "out") == [f"{name}_classes.png", f"{name}_overlay.png"]
    summary = predict(Threshold(), photos / "*.mp4", tmp_path / "out")
    assert summary.problems == [
        f"{photos / name}.mp4: OpenCV reads no video whose path is not UTF-8: rename it"
    ]


def test_larger_images_than_the_limit_are_listed(photos, tmp_path):
    summary = predict(Threshold(), photos, tmp_path / "out", max_pixels=599)
    assert summary.problems == [
        f"{photos / 'a.png'}: received 30x20 pixels; expected at most 599 (max_pixels)"
    ]
    assert predict(Threshold(), photos, tmp_path / "out", max_pixels=600) == (1, 1, [])


def test_results_and_resuming(photos, tmp_path):
    network, output = Threshold(), tmp_path / "out"
    assert predict(network, photos, output) == (2, 0, [])
    assert names(output) == ["a_overlay.png", "deep/b_overlay.png"]
    assert predict(network, photos, output) == (0, 2, [])
    assert network.batches == [1, 1]
    # Class maps are asked for now: what lacks them is done again.
    assert predict(network, photos, output, results="both") == (2, 0, [])
    (output / "deep/b_classes.png").unlink()
    assert predict(network, photos, output, results="both") == (1, 1, [])
    assert predict(network, photos, output, overwrite=True) == (2, 0, [])
    for name in ("a", "deep/b"):
        pixels = np.asarray(Image.open(photos / f"{name}.png"))
        with Image.open(output / f"{name}_classes.png") as class_map:
            assert class_map.mode == "L"
            np.testing.assert_array_equal(class_map, pixels.mean(axis=-1) > 127)


def test_class_maps_alone(photos, tmp_path):
    assert predict(Threshold(), photos, tmp_path / "out", results="class_maps") == (2, 0, [])
    assert names(tmp_path / "out") == ["a_classes.png", "deep/b_classes.png"]


def test_images_of_one_size_that_follow_each_other_are_a_batch(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, [height, 24, 3], np.uint8) for height in (20, 20, 20, 20, 22, 20)
    ]
    for index, image in enumerate(images):
        Image.fromarray(image).save(photos / f"{index}.png")
    network = Threshold()
    assert predict(network, photos, tmp_path / "out", results="class_maps", batch_size=3)[0] == 6
    assert network.batches == [3, 1, 1, 1]
    for index, image in enumerate(images):
        with Image.open(tmp_path / "out" / f"{index}_classes.png") as class_map:
            np.testing.assert_array_equal(class_map, image.mean(axis=-1) > 127)


def test_files_that_cannot_be_read_are_gathered(photos, tmp_path):
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    (photos / "empty.png").write_bytes(b"")
    (photos / "video.mp4").write_bytes(b"no video")
    summary = predict(Threshold(), photos, tmp_path / "out", results="both", batch_size=2)
    assert (summary.written, summary.skipped) == (2, 0)
    assert [problem.partition(" (")[0] for problem in summary.problems] == [
        f"{photos / 'broken.jpg'}: damaged image: its header is broken",
        f"{photos / 'empty.png'}: the file is empty; expected an image file",
        f"{photos / 'video.mp4'}: not a video that OpenCV can read",
    ]
    assert not [name for name in names(tmp_path / "out") if "video" in name]


def test_images_that_the_network_refuses_are_gathered(photos, tmp_path):
    def network(images):
        if images.shape[1] == 20:
            raise UnreadableImage("refused")
        return Threshold()(images)

    summary = predict(network, photos, tmp_path / "out")
    assert summary == (1, 0, [f"{photos / 'a.png'}: refused"])
    assert names(tmp_path / "out") == ["deep/b_overlay.png"]


FRAMES = 7


@pytest.fixture
def video(tmp_path):
    """A video of seven frames, each with one more light stripe than the one before."""
    path = tmp_path / "drive.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    for number in range(FRAMES):
        frame = np.full([48, 64, 3], 30, np.uint8)
        frame[:, : 8 * (number + 1)] = 220
        writer.write(frame)
    writer.release()
    return path


def light_columns(class_map):
    """How many columns are light; all rows are alike but for what compression does to the edge."""
    return round(float(np.mean(class_map)) * 64)


def test_a_video(video, tmp_path):
    output, network = tmp_path / "out", Threshold()
    assert predict(network, video, output, results="both", batch_size=3) == (1, 0, [])
    assert network.batches == [3, 3, 1]
    assert names(output) == [
        *(f"drive_classes/{number:06d}.png" for number in range(FRAMES)),
        "drive_legend.png",
        "drive_overlay.mp4",
    ]
    capture = cv2.VideoCapture(str(output / "drive_overlay.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    for number in range(FRAMES):
        with Image.open(output / f"drive_classes/{number:06d}.png") as class_map:
            assert light_columns(class_map) == 8 * (number + 1)
        read, frame = capture.read()
        assert read
        assert frame.shape == (48, 64, 3)
        # OpenCV's order is blue, green, red; dark is drawn red and light green.
        _, green, red = frame[24, 4].astype(int)
        assert green > red + 20
        assert number == FRAMES - 1 or frame[24, 60, 2] > frame[24, 60, 1] + 20
    assert not capture.read()[0]
    assert predict(network, video, output, results="both") == (0, 1, [])


def test_an_interrupted_video_goes_on(video, tmp_path):
    output = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        predict(Threshold(most=4), video, output, results="both")
    # Neither result has its name yet.
    assert [path.name for path in output.iterdir() if not path.name.startswith(".")] == [
        "drive_legend.png"
    ]
    network = Threshold()
    assert predict(network, video, output, results="both") == (1, 0, [])
    assert sum(network.batches) == FRAMES - 4
    assert len(list((output / "drive_classes").iterdir())) == FRAMES
    assert cv2.VideoCapture(str(output / "drive_overlay.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 7
    assert [path.name for path in output.iterdir() if path.name.startswith(".")] == []
    again = Threshold()
    assert predict(again, video, output, results="both", overwrite=True) == (1, 0, [])
    assert sum(again.batches) == FRAMES


def test_overlay_videos_have_even_sizes(tmp_path):
    size = (17, 31)
    path = tmp_path / "tiny.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 10, size)
    for _ in range(3):
        writer.write(np.full([size[1], size[0], 3], 200, np.uint8))
    writer.release()
    assert predict(Threshold(), path, tmp_path / "out") == (1, 0, [])
    capture = cv2.VideoCapture(str(tmp_path / "out" / "tiny_overlay.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert (capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (
        16,
        30,
    )


@pytest.mark.parametrize(
    ("images", "output", "results"),
    [
        ("q", ".", "a deep/b q/c"),  # Around the images.
        ("./q", "..", "a deep/b q/c"),
        ("q", "q/../q/deep/..", "a deep/b q/c"),  # Beside them.
        ("q/**/*.png", "q", "a deep/b q/c"),
        ("**/*.png", ".", "q/a q/deep/b q/q/c"),
        ("q", "q/deep", "a q/c"),  # Below them: what is there is left out.
        ("q", "q/out", "a deep/b q/c"),
        ("q/*.png", "q/deep", "a"),
        ("q/a.png", "q", "a"),
        ("q", "link", "a deep/b q/c"),  # The images' own folder by another name.
    ],
)
def test_the_folder_for_results_may_be_anywhere(tmp_path, monkeypatch, images, output, results):
    monkeypatch.chdir(tmp_path)
    for index, name in enumerate(("a", "deep/b", "q/c")):
        path = tmp_path / "q" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10 + index)).save(path)
    if output == "link":
        (tmp_path / "link").symlink_to("q")

    def run():
        files = without_results(find_images(images, outside=output), output)
        return FilePredictor(Threshold(), DESCRIPTION, output, results="both").run(files)

    wanted = results.split()
    assert run() == (len(wanted), 0, [])
    for name in wanted:
        assert (tmp_path / output / f"{name}_overlay.png").is_file()
    # Results are no images of the next run.
    assert run() == (0, len(wanted), [])


def test_results_of_videos_are_left_out_too(tmp_path):
    for name in ("v.mp4", "v_overlay.mp4", "v_legend.png", "v_classes/000000.png", "w_legend.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files = find_images(str(tmp_path), outside=tmp_path, suffixes=SUFFIXES + VIDEO_SUFFIXES)
    left = without_results(files, tmp_path)
    assert [file.path.name for file in left] == ["v.mp4", "w_legend.png"]
    assert without_results(files, tmp_path / "elsewhere") == files
