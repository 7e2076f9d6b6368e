"""Start a program that must not be reached from anywhere: in a network namespace of its own, and without virtual sockets.

``unshare --net python jail.py PROGRAM…``. adbd listens on AF_VSOCK as well as on TCP, and a network namespace does not cover that: a
seccomp filter refuses the family, to the program and to all that it starts. Standard library only; ends with the process that started it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import subprocess
import sys
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 1, 38, 22
SECCOMP_MODE_FILTER = 2
AF_VSOCK, EAFNOSUPPORT = 40, 97
ARCHITECTURES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""The audit number of the architecture and its number of socket(2)."""
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000


def _program(arch: int, call: int) -> bytes:
    steps = [
        (LOAD, 0, 0, 4),  # architecture
        (EQUAL, 1, 0, arch),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, 0),  # number of the call
        (EQUAL, 0, 3, call),
        (LOAD, 0, 0, 16),  # low half of its first argument
        (EQUAL, 0, 1, AF_VSOCK),
        (RETURN, 0, 0, ERRNO | EAFNOSUPPORT),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def main(command: list[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if Path("/proc/self/ns/net").stat().st_ino == Path(f"/proc/{os.getppid()}/ns/net").stat().st_ino:
        sys.exit("jail: not in a network namespace of its own")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=30)
    program = _program(*ARCHITECTURES[platform.machine()])
    wanted = _Filter(len(program) // 8, program)
    for words in (
        (PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0),
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(wanted), 0, 0),
    ):
        if libc.prctl(*words) != 0:
            sys.exit(f"jail: prctl {words[0]}: {os.strerror(ctypes.get_errno())}")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
