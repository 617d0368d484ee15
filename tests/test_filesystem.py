"""Which file system a path lies on, read from mount tables as machines have them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mslock import filesystem
from mslock.filesystem import LOCAL, NETWORK, kind

TABLE = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:5 / /proc rw - proc proc rw
30 22 0:40 / /srv/nfs rw,relatime shared:2 master:3 - nfs4 server:/export rw
31 22 0:41 / /srv/a\040b\134c rw - xfs /dev/sdb rw
32 22 0:42 / /srv/over rw - ext4 /dev/sdc rw
33 32 0:43 / /srv/over rw - cifs //server/share rw
34 22 0:44 / /srv/nfs/inner rw - btrfs /dev/sdd rw
35 22 0:45 / /srv/odd rw - fuse.sshfs u@h:/x - rw
"""


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "mountinfo"
    path.write_text(TABLE.lstrip())
    return str(path)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/", "ext4"),
        ("/var/lib/mslock/mslock.db", "ext4"),
        ("/srv/nfs", "nfs4"),
        ("/srv/nfs/a/b", "nfs4"),
        ("/srv/nfsx/a", "ext4"),
        ("/srv/nfs/inner/a", "btrfs"),
        ("/srv/nfs/innerx", "nfs4"),
        ("/srv/a b\\c/x", "xfs"),
        ("/srv/over/x", "cifs"),
        ("/srv/odd/x", "fuse.sshfs"),
        ("/srv/nfs/../x", "ext4"),
    ],
)
def test_the_mount_nearest_to_a_path_decides_and_of_two_on_a_point_the_last(table: str, path: str, found: str) -> None:
    assert kind(path, table) == found


def test_a_link_is_followed_to_where_it_points(table: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/srv/nfs")
    assert kind(str(tmp_path / "link" / "mslock.db"), table) == "nfs4"


def test_no_link_is_followed_on_a_network_file_system_which_may_not_answer(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(path: str) -> str:
        raise AssertionError(f"{path} was asked for")

    monkeypatch.setattr(os.path, "realpath", hang)
    assert kind("/srv/nfs/mslock.db", table) == "nfs4"


@pytest.mark.parametrize("content", [None, "", "22 1 8:1\n", "22 1 8:1 / / rw,relatime ext4 /dev/sda1 rw\n"])
def test_what_cannot_be_known_is_empty(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "mountinfo"
    if content is not None:
        path.write_text(content)
    assert kind("/a", str(path)) == ""


def test_names_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "mountinfo"
    path.write_bytes(b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 1 8:1 / /caf\xe9 rw - xfs /dev/sda1 rw\n")
    assert kind("/caf", str(path)) == "ext4"
    assert kind(os.fsdecode(b"/caf\xe9/x"), str(path)) == "xfs"


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="no /proc")
def test_this_machine_has_a_proc() -> None:
    assert kind("/proc") == "proc"
    assert kind("/proc/self/status") == "proc"


def test_no_kind_is_both_local_and_shared() -> None:
    assert not LOCAL & NETWORK
    assert {"ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs", "overlay"} <= LOCAL
    assert {"nfs", "nfs4", "cifs", "9p", "fuse.sshfs", "ceph", "lustre"} <= NETWORK
    assert all(name == name.strip() and " " not in name for name in filesystem.NETWORK)
