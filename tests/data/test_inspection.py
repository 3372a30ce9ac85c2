import json

from rich.console import Console

from auto_deeplab.data.inspection import inspect_dataset


def _text(inspection) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(*inspection.tables(), sep="\n")
    return capture.get()


def test_labels_that_are_no_class_and_sizes_are_told(make_dataset, tmp_path):
    folder = make_dataset(5, grow=2)
    path = tmp_path / "dataset_5_12_20_2" / "dataset.json"
    fields = json.loads(path.read_text())
    # Labels 0..4, of which 3 is to be ignored and 4 is not described.
    fields |= {"classes": ["a", "b", "c"], "palette": [[0, 0, 0]] * 3, "ignore_label": 3}
    path.write_text(json.dumps(fields))
    inspection = inspect_dataset(folder, ["train"])
    split = json.loads(inspection.to_json())["splits"]["train"]
    assert split["examples"] == split["examples_described"] == 5
    assert split["sizes"][0] == {"height": 12, "width": 20, "examples": 1}
    assert split["image_formats"] == {"png": 5}
    assert split["pixels"] == sum((12 + 2 * i) * (20 + 2 * i) for i in range(5))
    assert split["unknown_labels"] == {"4": 20 * 28}
    assert split["ignored_pixels"] == 18 * 26
    assert [entry["pixels"] for entry in split["classes"]] == [12 * 20, 14 * 22, 16 * 24]
    assert [entry["examples"] for entry in split["classes"]] == [1, 1, 1]
    text = _text(inspection)
    assert "is no class" in text
    assert "12 x 20: 1" in text
    assert "2 other sizes" in text
    assert "from 12 to 20 high, 20 to 28 wide" in text
    # 240 of the 1492 pixels that count.
    assert "16.09%" in text
    assert "20.00%" in text
