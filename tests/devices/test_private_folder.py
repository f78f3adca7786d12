"""Folders that only the user and root can change: which are accepted, which are not, and how a missing one is created."""

import os
import re
import stat

import pytest

from gpubp.devices.private_folder import private_folder

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system's files have no owner and mode as POSIX has them")
STRANGER = 12345


def give_away(path):
    """Let another user own a file, or a link itself."""
    if os.geteuid():
        pytest.skip("only root can give a file to another user")
    os.chown(path, STRANGER, -1, follow_symlinks=False)


def refused(path, where, why):
    with pytest.raises(OSError, match=re.escape(f"{why}: '{where}'") + "$"):
        private_folder(path)


@pytest.fixture
def open_umask():
    """A umask that forbids nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_missing_folder_is_created_for_the_user_only(tmp_path, open_umask):
    assert private_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", tmp_path / "a" / "b")] == [0o700] * 2
    assert private_folder(tmp_path / "c" / "d", create=False) == tmp_path / "c" and not (tmp_path / "c").exists()


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
def test_a_folder_in_which_others_can_write_is_refused(tmp_path, mode):
    place, below = tmp_path / "shared", tmp_path / "shared" / "below"
    below.mkdir(parents=True)
    place.chmod(mode)
    why = "other users can write in it" + " (chmod go-w)" * (mode != 0o1777)
    refused(place, place, why)
    refused(below / "..", below / ".." if mode == 0o1777 else place, why)
    if mode == 0o1777:   # like /tmp, where others can add files but not rename mine
        assert private_folder(below) == below
    else:
        refused(below, place, why)
    place.chmod(0o755)   # others may read
    assert private_folder(place) == place


def test_a_folder_of_another_user_is_refused(tmp_path):
    place, below = tmp_path / "foreign", tmp_path / "foreign" / "below"
    below.mkdir(parents=True)
    give_away(place)
    refused(place, place, "it belongs to another user")
    refused(below, place, "it belongs to another user")
    refused(place / "missing", place, "it belongs to another user")
    assert not (place / "missing").exists()


def test_links_of_the_user_are_followed_and_what_they_lead_to_is_checked(tmp_path):
    for name in ("good", "shared", "shared/below"):
        (tmp_path / name).mkdir()
    (tmp_path / "shared").chmod(0o777)
    for name, target in {"absolute": tmp_path / "good", "relative": "good", "chain": "relative", "bad": "shared/below",
                         "missing": "good/new", "loop": "loop"}.items():
        (tmp_path / name).symlink_to(target)
    assert {private_folder(tmp_path / name) for name in ("absolute", "relative", "chain")} == {tmp_path / "good"}
    assert private_folder(tmp_path / "missing" / "below") == tmp_path / "good" / "new" / "below"
    assert private_folder(tmp_path / "relative" / ".." / "good").samefile(tmp_path / "good")
    refused(tmp_path / "bad", tmp_path / "shared", "other users can write in it (chmod go-w)")
    refused(tmp_path / "loop", tmp_path / "loop", os.strerror(40))
    give_away(tmp_path / "relative")
    refused(tmp_path / "relative", tmp_path / "relative", "it belongs to another user")
    refused(tmp_path / "chain", tmp_path / "relative", "it belongs to another user")


def test_what_is_no_folder_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for name in ("file", "pipe"):
        refused(tmp_path / name, tmp_path / name, "it is not a folder")
        refused(tmp_path / name / "below", tmp_path / name, "it is not a folder")
    with pytest.raises(OSError):
        private_folder(tmp_path / ("long" * 100))
    monkeypatch.chdir(tmp_path)
    assert private_folder("here") == tmp_path / "here"
    monkeypatch.delattr(os, "geteuid")   # as on Windows
    assert private_folder(tmp_path / "there").is_dir()
    private_folder(tmp_path / "nowhere", create=False)
    assert not (tmp_path / "nowhere").exists()
