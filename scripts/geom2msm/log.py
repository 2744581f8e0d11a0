"""Everything a rule says, tracebacks included, goes to the rule's log file."""

import logging
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")


def log_to(path: str) -> None:
    """Send stdout, stderr and logging to a file for the rest of the process.

    A `with open(...) as sys.stderr` block would be closed before Python prints an uncaught
    exception, and the traceback would be lost.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    stream = open(path, "w", buffering=1, encoding="utf-8")  # noqa: SIM115 (open until the process ends)
    sys.stdout = sys.stderr = stream
    logging.basicConfig(
        stream=stream, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True
    )


def progress(items: Iterable[Item], *, total: int, description: str) -> Iterator[Item]:
    """Pass items on and draw a progress bar in the log, at most every two seconds."""
    from tqdm import tqdm

    yield from tqdm(
        items, total=total, desc=description, mininterval=2.0, ascii=True, file=sys.stderr, dynamic_ncols=False
    )
