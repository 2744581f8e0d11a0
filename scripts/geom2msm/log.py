"""Everything a rule says, tracebacks included, goes to the rule's log file."""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")


def log_to(path: str) -> None:
    """Send stdout, stderr and logging to a file for the rest of the process, those of compiled libraries too.

    A `with open(...) as sys.stderr` block would be closed before Python prints an uncaught
    exception, and the traceback would be lost.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    stream = open(path, "w", buffering=1, encoding="utf-8")  # noqa: SIM115 (open until the process ends)
    sys.stdout = sys.stderr = stream
    for descriptor in (1, 2):
        os.dup2(stream.fileno(), descriptor)
    logging.basicConfig(
        stream=stream, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True
    )


def progress(
    items: Iterable[Item],
    *,
    total: int,
    description: str,
    unit: str = "it",
    done: int = 0,
    size: Callable[[Item], int] = lambda _: 1,
    note: Callable[[], str] | None = None,
) -> Iterator[Item]:
    """Pass items on and write a progress bar into the log, a line at most every five seconds.

    An item counts `size(item)` towards the `total`, of which `done` were there before. `note` says what else is known
    once an item is done.
    """
    from tqdm import tqdm

    with tqdm(
        total=total,
        initial=done,
        desc=description,
        unit=f" {unit}",
        mininterval=5.0,
        ascii=True,
        file=_Lines(),
        ncols=100,
    ) as bar:
        for item in items:
            yield item
            if note:
                bar.set_postfix_str(note(), refresh=False)
            bar.update(size(item))


class _Lines:
    """Gives each state of a progress bar a line of its own: a log file cannot go back to overwrite one."""

    def write(self, text: str) -> None:
        if text.strip():
            sys.stderr.write(text.strip() + "\n")

    def flush(self) -> None:
        sys.stderr.flush()
