import pytest

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.training.trained import load_trained


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_that_no_training_wrote(tmp_path, exists):
    folder = tmp_path if exists else tmp_path / "missing"
    with pytest.raises(UserError, match=r"which has no config.gin; expected a folder that"):
        load_trained(folder)
