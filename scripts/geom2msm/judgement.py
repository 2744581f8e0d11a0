"""Verdicts in one form: pass, warn, fail or not estimable, the reasons in sentences, and the numbers behind them."""

import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from geom2msm.provenance import replace_when_complete


class NotEstimable(ValueError):
    """What the data do not determine, and why, in one sentence."""


@dataclass(frozen=True)
class Objections:
    """What speaks against a model, as sentences; the gravest kind gives the verdict.

    `not_estimable` is for checks that compared nothing at all: what a check lacks beside what it compared is a warning.
    """

    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    not_estimable: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """One of pass, warn, fail, not estimable."""
        if self.failures or self.warnings:
            return "fail" if self.failures else "warn"
        return "not estimable" if self.not_estimable else "pass"

    def add_missing(self, reasons: Iterable[str], *, anything_compared: bool) -> None:
        """Note what cannot be estimated: a warning beside what was compared, else that nothing can be said."""
        (self.warnings if anything_compared else self.not_estimable).extend(reasons)

    def verdict_and_reasons(self) -> dict[str, object]:
        """The first two keys of every verdict file, the gravest reasons first."""
        return {"verdict": self.verdict, "reasons": [*self.failures, *self.warnings, *self.not_estimable]}


def without_nan(value: object) -> object:
    """The same content with None for what is not a number: JSON has no NaN and no infinity."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_verdict(path: str, found: Mapping[str, object], *, subject: str) -> None:
    """Write a verdict as JSON; one that is no pass goes to the log, every reason as a warning of its own."""
    for line in lines_for_log(found, subject=subject):
        logging.warning(line)
    if found["verdict"] == "pass":
        logging.info("%s: pass", subject)
    with replace_when_complete(path) as part:
        part.write_text(json.dumps(without_nan(found), indent=2, allow_nan=False) + "\n")


def lines_for_log(found: Mapping[str, object], *, subject: str) -> Iterator[str]:
    """One line per reason, in capitals up to the colon; nothing of a pass without reasons."""
    for reason in found["reasons"]:
        yield f"{subject.upper()} {str(found['verdict']).upper()}: {reason}"


def read_json(path: str) -> dict:
    """Content of a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
