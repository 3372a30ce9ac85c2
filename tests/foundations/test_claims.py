"""Claims of several workers in one folder."""

import threading
import time

import pytest

from auto_deeplab.foundations.claims import Claims
from auto_deeplab.foundations.errors import UserError


@pytest.fixture
def claims(tmp_path):
    return Claims(tmp_path / "claims", stale_seconds=1.5, touch_seconds=0.05)


def test_a_claim_stands_as_long_as_its_block_runs(claims):
    with claims.claim("work") as first:
        assert first
        deadline = time.monotonic() + 2 * claims.stale_seconds
        while time.monotonic() < deadline:
            with claims.claim("work") as second:
                assert not second
            time.sleep(0.1)
        assert claims.claimed() == {"work"}
        with claims.claim("other work") as other:
            assert other
    assert claims.claimed() == set()


def test_the_claim_of_a_killed_process_is_to_be_had_after_a_while(claims):
    claims.path.mkdir()
    (claims.path / "work").write_text("some host 1\n")
    with claims.claim("work") as ours:
        assert not ours
    started = time.monotonic()
    with claims.waiting("work", poll_seconds=0.02):
        # Until then it might have been alive.
        assert time.monotonic() - started > 0.2
    assert list(claims.path.iterdir()) == []


def test_who_waits_is_alone(claims):
    inside, most = [], []

    def work():
        for _ in range(5):
            with claims.waiting("work", poll_seconds=0.001):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.002)
                inside.pop()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert most == [1] * 15


def test_an_error_leaves_no_claim(claims):
    with pytest.raises(ZeroDivisionError), claims.claim("work"):
        raise ZeroDivisionError
    assert claims.claimed() == set()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    claims = Claims(tmp_path / "file" / "claims")
    with pytest.raises(UserError, match="cannot be written"), claims.claim("work"):
        pass
