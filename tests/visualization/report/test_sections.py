import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from auto_deeplab.runs.run import find_runs
from auto_deeplab.search_space import diagnose
from auto_deeplab.visualization.report.page import write_report
from auto_deeplab.visualization.report.sections import Examples, build_sections


class Page(HTMLParser):
    """Collects what a page loads, its headings, its table cells, and checks that tags match."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.linked, self.ids, self.cells = [], [], set(), []
        self._open = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.loaded += [values[name] for name in ("src", "srcset", "data") if name in values]
        if tag == "a":
            self.linked.append(values["href"])
        elif "href" in values:
            self.loaded.append(values["href"])
        self.ids.add(values.get("id"))
        if tag not in ("meta", "link", "img", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, text):
        if self._open and self._open[-1] in ("td", "th"):
            self.cells.append(text)


def names_of(sections):
    return [picture.name for section in sections for picture in section.pictures]


def test_a_search_is_shown_whole_and_the_same_each_time(make_search, tmp_path):
    runs = find_runs([make_search("search")])
    sections = build_sections(runs)
    assert names_of(sections) == [
        "architecture_network",
        "architecture_cell",
        "search_trials",
        "search_loss",
        "search_pixel_accuracy",
        "search_learning_rate",
        "search_entropy",
        "search_skip_and_none",
        "alpha",
        "beta",
    ]
    folder = write_report(tmp_path / "page.html", "A search", sections)
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(written) == {
        f"{name}{suffix}" for name in names_of(sections) for suffix in (".png", ".svg")
    }
    for name, content in written.items():
        if name.endswith(".png"):
            picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
            assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20, name
    text = (tmp_path / "page.html").read_text()
    again = write_report(tmp_path / "again.html", "A search", build_sections(runs))
    assert {path.name: path.read_bytes() for path in again.iterdir()} == written
    assert (tmp_path / "again.html").read_text() == text.replace("folder page", "folder again")

    page = Page(text)
    assert all(loaded.startswith("data:") for loaded in page.loaded)
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.linked)
    assert "<script" not in text
    embedded = {
        base64.b64decode(loaded.partition(",")[2])
        for loaded in page.loaded
        if loaded.startswith("data:image")
    }
    assert embedded == {written[f"{name}.svg"] for name in names_of(sections)}
    # 10 steps of 0.5, of 1 and of 1.5 s, and three validations of 2 s.
    assert "36\u2009s" in page.cells
    assert {"30.00%", "4 8", "tensorflow"} & set(page.cells) >= {"30.00%", "tensorflow"}
    assert "Search.warm_up_epochs = 1" in text


def test_a_search_is_diagnosed_as_it_was_at_its_last_epoch(make_search):
    runs = find_runs([make_search("search")])
    (section,) = (each for each in build_sections(runs) if each.title == "Search")
    (table,) = section.tables
    diagnosis = diagnose(runs[0].history[-1].relaxation)
    (row,) = table.rows
    assert len(row) == len(table.columns)
    assert dict(zip(table.columns, row, strict=True)) == {
        "run": "search",
        "skip weight": f"{diagnosis.skip_weight:.3g}",
        "none weight": f"{diagnosis.none_weight:.3g}",
        "skip branches": str(diagnosis.skip_branches),
        "entropy of \u03b1": f"{diagnosis.alpha_entropy:.3g}",
        "entropy of \u03b2": f"{diagnosis.beta_entropy:.3g}",
        "strongest operation": f"{diagnosis.strongest_operation:.3g}",
        "what is wrong": ". ".join(diagnosis.findings()) or "\u2013",
    }


def test_a_training_with_its_evaluation_and_its_images(make_training, tmp_path):
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().imshow(np.zeros((3, 3, 3), np.uint8))
    sections = build_sections(
        find_runs([make_training("training")]), [Examples("training", "val", figure, None)]
    )
    assert names_of(sections) == [
        "architecture_network",
        "architecture_cell",
        "training_loss",
        "training_mean_iou",
        "training_learning_rate",
        "class_iou",
        "confusion_training",
        "best_training_val",
    ]
    folder = write_report(tmp_path / "page.html", "A training", sections)
    page = Page((tmp_path / "page.html").read_text())
    photographs = [loaded for loaded in page.loaded if loaded.startswith("data:image/png")]
    assert [base64.b64decode(loaded.partition(",")[2]) for loaded in photographs] == [
        (folder / "best_training_val.png").read_bytes()
    ]
    assert {"val 47.50%", "65.00%", "not recorded"} <= set(page.cells)


def test_several_runs_are_compared(make_search, make_training, tmp_path):
    runs = find_runs(
        [make_search("a", seed=0), make_search("b", seed=1), make_training("t"), make_training("u")]
    )
    sections = build_sections(runs)
    names = names_of(sections)
    assert len(names) == len(set(names))
    # Both trainings have the same architecture, and every search one of its own.
    assert [name for name in names if name.endswith("_cell")] == [
        f"architecture_{number}_cell" for number in (1, 2, 3)
    ]
    assert {"alpha_a", "alpha_b", "class_iou", "confusion_t", "confusion_u"} <= set(names)
    (configuration,) = [section for section in sections if section.title == "Configuration"]
    assert [(table.title, table.rows) for table in configuration.tables] == [
        ("Where the searches differ", [["Search.seed", "0", "1"]])
    ]
    (search,) = [section for section in sections if section.title == "Search"]
    assert "at 30.00% on average, at 30.00% to 30.00%" in search.pictures[0].caption


def test_a_run_that_has_just_begun(make_search, tmp_path):
    folder = make_search("search")
    for name in ("metrics.jsonl", "architecture.jsonl", "genotype.json"):
        (folder / name).unlink()
    sections = build_sections(find_runs([folder]))
    assert [section.title for section in sections] == [
        "Summary",
        "Configuration",
        "Versions and times",
    ]
    write_report(tmp_path / "page.html", "Begun", sections)


def test_text_is_never_taken_for_html(make_training, tmp_path):
    folder = make_training("<b>bold & 'x'")
    (folder / "config.gin").write_text("configured_job.job = @Retrain()\na.b = '</pre><script>'\n")
    write_report(tmp_path / "page.html", "<i>", build_sections(find_runs([folder])))
    text = (tmp_path / "page.html").read_text()
    assert not re.search("<script|<b>|<i>", text)
    Page(text)


@pytest.mark.parametrize("seconds", [0, 59.6, 3 * 86400 + 7200])
def test_durations_are_short(make_search, seconds):
    from auto_deeplab.visualization.report.sections import _duration

    assert _duration(seconds) == {0: "0\u2009s", 59.6: "1\u2009min"}.get(
        seconds, "3\u2009d 2\u2009h"
    )
