"""System calls that a process has no use for which only computes: without them it starts nothing, reaches nobody and
changes no file, so that it cannot fill a disk either.

The kernel's filter (seccomp) holds for good, for every thread that is started later. `SPEC_ALLOW` matters: without it
older kernels turn off the speculation of stores for the whole process, and kernels would be measured slower.
"""

import ctypes
import os
import struct
from errno import ENOSYS, EPERM

PR_SET_NO_NEW_PRIVS = 38
SYS_SECCOMP, SET_MODE_FILTER, SPEC_ALLOW = 317, 1, 4
ARCHITECTURE = 0xC000003E
"""x86-64; its other two ways into the kernel are closed."""

X32_BIT = 0x40000000
CLONE, CLONE3, KILL, TGKILL, PRLIMIT = 56, 435, 62, 234, 302
OPEN, OPENAT, OPENAT2 = 2, 257, 437
CLONE_THREAD = 0x10000
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

REFUSED = {
    "socket": 41,
    "fork": 57,
    "vfork": 58,
    "execve": 59,
    "truncate": 76,
    "rename": 82,
    "mkdir": 83,
    "rmdir": 84,
    "creat": 85,
    "link": 86,
    "unlink": 87,
    "symlink": 88,
    "chmod": 90,
    "chown": 92,
    "lchown": 94,
    "ptrace": 101,
    "setpgid": 109,
    "setsid": 112,
    "mknod": 133,
    "mount": 165,
    "rt_sigqueueinfo": 129,
    "tkill": 200,
    "mkdirat": 258,
    "mknodat": 259,
    "fchownat": 260,
    "unlinkat": 263,
    "renameat": 264,
    "linkat": 265,
    "symlinkat": 266,
    "fchmodat": 268,
    "unshare": 272,
    "rt_tgsigqueueinfo": 297,
    "perf_event_open": 298,
    "setns": 308,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "renameat2": 316,
    "bpf": 321,
    "execveat": 322,
    "pidfd_send_signal": 424,
    "io_uring_setup": 425,
    "pidfd_open": 434,
    "pidfd_getfd": 438,
    "fchmodat2": 452,
}

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""Of the filter's own machine code."""

NUMBER, ARCH, FIRST_ARGUMENT, SECOND_ARGUMENT, THIRD_ARGUMENT = 0, 4, 16, 24, 32
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
"""REFUSE plus an errno."""

Instruction = tuple[int, int, int, int]
"""Code, how many to pass over where it holds and where it does not, and its constant."""


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def refuse_system_calls() -> None:
    """For this process, from now on. Raises OSError where the kernel has no such filter."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(struct.pack("HBBI", *each) for each in _filter(os.getpid()))
    program = Program(len(code) // 8, code)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.syscall(SYS_SECCOMP, SET_MODE_FILTER, SPEC_ALLOW, ctypes.byref(program)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _filter(pid: int) -> list[Instruction]:
    return [
        (LOAD, 0, 0, ARCH),
        (EQUAL, 1, 0, ARCHITECTURE),
        (RETURN, 0, 0, REFUSE | EPERM),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, X32_BIT),
        (RETURN, 0, 0, REFUSE | EPERM),
        *(each for number in REFUSED.values() for each in _refused(number, EPERM)),
        # The C library then takes the older call, whose flags a filter can see.
        *_refused(CLONE3, ENOSYS),
        *_refused(OPENAT2, ENOSYS),
        *_only(OPEN, (ANY_BIT, 1, 0, WRITES), SECOND_ARGUMENT),
        *_only(OPENAT, (ANY_BIT, 1, 0, WRITES), THIRD_ARGUMENT),
        *_only(CLONE, (ANY_BIT, 0, 1, CLONE_THREAD)),
        *_only(KILL, (EQUAL, 0, 1, pid)),
        *_only(TGKILL, (EQUAL, 0, 1, pid)),
        *_only(PRLIMIT, (EQUAL, 0, 1, 0)),
        (RETURN, 0, 0, ALLOW),
    ]


def _refused(number: int, errno: int) -> list[Instruction]:
    return [(EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE | errno)]


def _only(number: int, test: Instruction, argument: int = FIRST_ARGUMENT) -> list[Instruction]:
    """Allowed only where the test holds of an argument."""
    return [
        (EQUAL, 0, 4, number),
        (LOAD, 0, 0, argument),
        test,
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE | EPERM),
    ]
