"""Ending together with the process that started this one."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> bool:
    """Have the kernel end this process (SIGTERM) when `parent` ends; False when it has ended already.

    Linux only (prctl(2), PR_SET_PDEATHSIG): elsewhere this does nothing, and the process stays until it
    is stopped. The kernel counts the death of the thread that forked as the parent's.
    """
    if not sys.platform.startswith("linux"):
        return True
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    # The parent may have died before the line above took hold.
    return os.getppid() == parent
