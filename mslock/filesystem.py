"""On what kind of file system a path lies: whether file locks on it can be believed.

Why: SQLite's locks are the kernel's, and on a network file system those lie or hang; a row there is worse than
none. A kind that nobody has thought of is told of, not refused.
"""

from __future__ import annotations

import os

#: Known to lie on one machine, and to keep its locks.
LOCAL = frozenset(("btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"))
#: Shared between machines.
NETWORK = frozenset(
    (
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2"),
        *("orangefs", "smb3", "smbfs", "fuse.ceph", "fuse.davfs2", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"),
    )
)


def kind(path: str, mountinfo: str = "/proc/self/mountinfo") -> str:
    """The file system's type at a path, such as `ext4`; empty if it cannot be known. See proc(5), mountinfo."""
    try:
        with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
            mounts = [_mount(line) for line in file]
    except (OSError, ValueError, IndexError):
        return ""
    # First as it is written: to follow links on a network file system that does not answer would hang.
    as_written = _covering(os.path.abspath(path), mounts)
    return as_written if as_written in NETWORK else _covering(os.path.realpath(path), mounts)


def _covering(path: str, mounts: list[tuple[str, str]]) -> str:
    longest, found = "", ""
    for point, type_ in mounts:
        # The last mount on a point hides those before it.
        if len(point) >= len(longest) and (path + "/").startswith(point.rstrip("/") + "/"):
            longest, found = point, type_
    return found


def _mount(line: str) -> tuple[str, str]:
    """A mount's point and type."""
    fields = line.split(" ")
    point = fields[4]
    return (_unescape(point) if "\\" in point else point), fields[fields.index("-") + 1]


def _unescape(point: str) -> str:
    """Spaces and the like stand as octal `\\040` in mountinfo."""
    for char in "\t\n #\\":
        point = point.replace(f"\\{ord(char):03o}", char)
    return point
