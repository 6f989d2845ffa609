"""Started as a process: `python -m audit_rig.killed FOLDER`. Its children append to a log and are killed.

The first ones kill themselves at each step of an integration in turn, on a fresh copy each; then one log is
appended to by children that are killed at arbitrary moments. Prints how many were killed.
"""

import asyncio
import os
import shutil
import signal
import sys
import time
import traceback
from itertools import count
from pathlib import Path

from audit_rig.folder import Folder
from audit_rig.logs import check, id_of, leaves_of, usage
from audit_rig.memory import nothing
from sluicegate.audit.entry import Leaf

FIRST = [usage(number) for number in range(250)]
NEXT = [usage(number, tenant=f"tenant-{number % 3}", user=f"user-{number % 4}") for number in range(300, 320)]
MANY = 160
BATCH = 20


async def append(path, step, events):
    async with Folder(path, step) as folder:
        await folder.log.consumer.handle(events)


async def verify(path, events):
    async with Folder(path) as folder:
        await folder.log.consumer.handle(events)
        # Whoever starts next sweeps what a killed one had staged and not committed.
        async with Folder(path) as another:
            await another.log.start()
        size = await folder.index.size()
        rows = [
            await folder.index.entry(event.tenant, place) for place, event in await owners(folder, events)
        ]
        await check(None, events, folder.blobs, rows)
        assert size == len(events)


async def owners(folder, events):
    """For each place of the log the event that it came from."""
    _, leaves = await leaves_of(folder.blobs)
    known = {id_of(event): event for event in events}
    return [(place, known[Leaf.parse(leaf).id]) for place, leaf in enumerate(leaves)]


def child(work):
    """Run `work` in a child of its own."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            asyncio.run(work())
            code = 0
        except BaseException:  # noqa: BLE001 - whatever it is, the parent is told by the status
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return pid


def ended(pid):
    """None where the child ended well, else the signal that killed it."""
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    assert os.WEXITSTATUS(status) == 0, "a child failed"
    return None


def at_each_step(base):
    template = base / "template"
    assert ended(child(lambda: append(template, nothing, FIRST))) is None
    at = -1
    killed = signal.SIGKILL
    while killed is not None:
        at += 1
        path = base / f"step-{at}"
        shutil.copytree(template, path)
        numbers = count()

        async def step(what, numbers=numbers, at=at):
            if next(numbers) == at:
                os.kill(os.getpid(), signal.SIGKILL)

        killed = ended(child(lambda path=path, step=step: append(path, step, NEXT)))
        assert killed in {None, signal.SIGKILL}
        assert ended(child(lambda path=path: verify(path, [*FIRST, *NEXT]))) is None
        shutil.rmtree(path)
    return at


def at_any_moment(base, kills):
    path = base / "moments"
    events = [usage(number, tenant=f"tenant-{number % 2}") for number in range(MANY * BATCH)]

    async def all_of_them():
        async with Folder(path) as folder:
            for at in range(0, len(events), BATCH):
                await folder.log.consumer.handle(events[at : at + BATCH])

    hit = 0
    for number in range(kills):
        pid = child(all_of_them)
        time.sleep(0.02 + 0.009 * number)
        os.kill(pid, signal.SIGKILL)
        hit += ended(pid) is not None
    assert ended(child(all_of_them)) is None
    assert ended(child(lambda: verify(path, events))) is None
    return hit


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    sys.stdout.write(f"{at_each_step(folder)} {at_any_moment(folder, int(sys.argv[2]))}\n")
