"""Names are given to whole things; a claimed folder has one writer; what the system refuses is one sentence."""

import os
import shutil
import subprocess
import sys
import threading

import pytest

from calojax import writing
from calojax.errors import InputError

HOLD = """
import sys, time
from pathlib import Path
from calojax import writing
with writing.claimed(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """A folder that another process has claimed; closing its input lets go."""
    folder = tmp_path / "folder"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "mine\n"
        yield folder, other
        other.kill()


def test_a_claimed_folder_has_one_writer(held):
    folder, _ = held
    with pytest.raises(InputError, match=r"folder: is being written by another process"), writing.claimed(folder):
        pass


def test_the_claim_of_a_killed_process_is_gone(held):
    folder, other = held
    other.kill()
    other.wait()
    with writing.claimed(folder):
        assert folder.is_dir()


def test_who_waits_gets_the_folder_after_the_first_one_renamed_it(tmp_path):
    folder, got = tmp_path / "folder", threading.Event()

    def second():
        with writing.claimed(folder, wait=True):
            got.set()

    with writing.claimed(folder):
        waiting = threading.Thread(target=second)
        waiting.start()
        assert not got.wait(0.2)
        folder.rename(tmp_path / "whole")
    waiting.join(10)
    assert got.is_set()
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_an_empty_folder_goes_with_the_parents_made_for_it(tmp_path):
    folder = tmp_path / "a" / "b" / "folder"
    with writing.claimed(folder):
        pass
    assert list(tmp_path.iterdir()) == []
    with writing.claimed(folder):
        (folder / "file").touch()
    assert (folder / "file").is_file()


def test_another_folder_of_the_same_name_is_left_alone(tmp_path):
    folder = tmp_path / "folder"
    with writing.claimed(folder):
        folder.rename(tmp_path / "whole")
        folder.mkdir()
    assert folder.is_dir()


def test_waiting_for_a_folder_that_comes_and_goes(tmp_path):
    """Each one that has it finds no other in it."""
    folder, inside, most = tmp_path / "folder", [], []

    def work():
        for _ in range(50):
            with writing.claimed(folder, wait=True):
                inside.append(None)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 200
    assert list(tmp_path.iterdir()) == []


def test_text_that_cannot_get_its_name_leaves_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError):
        writing.text(tmp_path / "a", "content")
    assert os.listdir(tmp_path) == ["a"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    cases = (
        ("file/folder", "Not a directory"),
        ("file", "Not a directory"),
        ("link", "No such file"),
        ("link/folder", "No such file"),
    )
    for name, said in cases:
        with pytest.raises(InputError, match=rf"cannot be written \({said}"), writing.claimed(tmp_path / name):
            pass


def test_text_replaces_what_was_there_and_leaves_no_other_file(tmp_path):
    for content in ("Schauer é", "second"):
        writing.text(tmp_path / "a", content)
        assert (tmp_path / "a").read_text(encoding="utf-8") == content
    assert os.listdir(tmp_path) == ["a"]


def test_a_link_that_leads_nowhere_counts_as_existing(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="exists already, but nothing is overwritten"):
        writing.refuse_existing(tmp_path / "link")


def test_room_is_asked_for_with_some_to_spare(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, 10 << 20))
    writing.need_room(tmp_path, 1 << 20)
    with pytest.raises(InputError, match=r"has 10 MB left on its disk, but the next 4\.2 MB need room"):
        writing.need_room(tmp_path, 4 << 20)
