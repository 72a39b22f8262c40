"""What kind of file system a path is on."""

import os
from pathlib import Path

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "9p", "afs", "lustre", "beegfs", "gpfs", "glusterfs", "ncpfs"}
)
MOUNTS = Path("/proc/self/mountinfo")


def network_file_system(path: Path, mounts: Path = MOUNTS) -> str | None:
    """Its kind, where other machines may have it mounted, too."""
    kind = _kind(_existing(path), mounts)
    return kind if kind.removeprefix("fuse.") in NETWORK_FILE_SYSTEMS | {"sshfs"} else None


def _existing(path: Path) -> Path:
    path = path.resolve()
    while not path.exists():
        path = path.parent
    return path


def _kind(path: Path, mounts: Path) -> str:
    device = path.stat().st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.read_text().splitlines():
        fields = line.split()
        if fields[2] == name:
            return fields[fields.index("-") + 1]
    return "unknown"
