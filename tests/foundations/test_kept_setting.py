import pytest

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.foundations.kept_setting import keep_setting


def test_the_same_setting_is_accepted_and_another_one_named(tmp_path):
    path = tmp_path / "setting.json"
    setting = {"values": {"steps": 3, "size": (1, 2)}, "name": "x"}
    keep_setting(path, setting, "output_dir")
    keep_setting(path, setting, "output_dir")
    before = path.read_text()
    message = r"setting.json: values.steps: received 4, but .* made with 3; .* another output_dir"
    with pytest.raises(UserError, match=message):
        keep_setting(path, {**setting, "values": {"steps": 4, "size": [1, 2]}}, "output_dir")
    with pytest.raises(UserError, match=r"name: received None, but .* 'x'"):
        keep_setting(path, {"values": setting["values"]}, "output_dir")
    with pytest.raises(UserError, match=r"more: received 1, but .* None"):
        keep_setting(path, {**setting, "more": 1}, "output_dir")
    assert path.read_text() == before
