"""Whether a Markov state model can be trusted: a dozen checks, each with its verdict, its number and what to do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from geom2msm.verdict_texts import ACTIONS, FIGURES, QUESTIONS

# From the best to the gravest: where nothing could be compared there is no pass, but no objection either.
VERDICTS = ("pass", "not estimable", "warn", "fail")

# With ten independent events a rate is known to about a third (1/√10), with two to no better than a factor of two.
PASS_EVENTS = 10
FAIL_EVENTS = 3
# A state that only few of many trajectories see may be an accident of where they began.
PASS_TRAJECTORIES = 3
# Functions that two members do not share; a half may be one noisy function, one is a function lost.
PASS_LOST_FUNCTIONS = 0.5
FAIL_LOST_FUNCTIONS = 1.0
THRESHOLDS = {
    "pass_events": PASS_EVENTS,
    "fail_events": FAIL_EVENTS,
    "pass_trajectories": PASS_TRAJECTORIES,
    "pass_lost_functions": PASS_LOST_FUNCTIONS,
    "fail_lost_functions": FAIL_LOST_FUNCTIONS,
}


BIASED = (
    "the trajectories are biased (trajectories.log_weights), and transitions are counted as they are: populations, "
    "rates and timescales are those of the biased simulation"
)


@dataclass(frozen=True)
class Judged:
    """What a check found: a verdict, its number in words and alone, and the reasons as sentences."""

    verdict: str
    number: str
    value: float | None = None
    reasons: list[str] = field(default_factory=list)


def table_row(check: str, judged: Judged) -> dict[str, object]:
    """One row of the verdict table."""
    if judged.verdict not in VERDICTS:
        raise ValueError(f"the verdict of {check} is {judged.verdict!r}, but must be one of {', '.join(VERDICTS)}")
    words = {"check": check, "question": QUESTIONS[check], "figure": FIGURES[check]}
    return words | {"action": ACTIONS[check][judged.verdict]} | asdict(judged)


def not_computed(why: str) -> Judged:
    """For a check that does not apply to this model."""
    return Judged("not estimable", "–", None, [why])


def taken(found: Mapping, key: str, words: str) -> Judged:
    """The verdict of a file as it is; `words` say its number, a dash says that there is none."""
    number = "–" if found[key] is None else words.format(number=found[key], **found)
    return Judged(found["verdict"], number, found[key], found["reasons"])


def judge_if_any(judge: Callable[[Mapping], Judged], found: Sequence[Mapping]) -> Judged:
    """The verdict on what was found; a model that uses no tokens has neither an encoder nor tokens to interpret."""
    return judge(found[0]) if found else not_computed("the model does not use tokens")


def judge_lag(found: Mapping) -> Judged:
    """The configured lag beside the shortest one from which timescales are flat within error."""
    proposed, configured = found["proposed_lag_ps"], found["configured_lag_ps"]
    flat = "nowhere flat" if proposed is None else f"flat from {proposed:g} ps"
    return Judged(found["verdict"], f"{configured:g} ps, {flat}", proposed, found["reasons"])


def judge_ck_test(found: Mapping) -> Judged:
    """The largest deviation between prediction and estimate, in their combined errors."""
    return taken(found, "largest_deviation_in_errors", "{number:.1f} standard errors ({largest_deviation:.3f})")


def judge_connectivity(found: Mapping) -> Judged:
    """The fraction of frames in the largest set of microstates connected in both directions."""
    return taken(found, "fraction_of_frames_active", "{number:.1%} of frames in the model")


def judge_visits(states: Sequence[Mapping]) -> Judged:
    """Entries into and exits from the macrostate that has fewest, and the trajectories that reach each.

    `states` has the columns state, entries, exits, n_trajectories, one row per macrostate.
    """
    events = {int(row["state"]): min(int(row["entries"]), int(row["exits"])) for row in states}
    reached = {int(row["state"]): int(row["n_trajectories"]) for row in states}
    rarest = min(events, key=events.get)
    reasons = [
        f"state {state} was entered and left only {count} times"
        for state, count in events.items()
        if count < PASS_EVENTS
    ]
    alone = [
        f"state {state} is reached by {count} of the trajectories only"
        for state, count in reached.items()
        if count < min(PASS_TRAJECTORIES, max(reached.values()))
    ]
    verdict = "fail" if events[rarest] < FAIL_EVENTS else "warn" if reasons or alone else "pass"
    number = f"state {rarest}: {events[rarest]} entries and exits"
    return Judged(verdict, number, float(events[rarest]), reasons + alone)


def judge_convergence(found: Mapping) -> Judged:
    """The largest difference between the two halves of the data, in its errors."""
    return taken(found, "largest_difference_in_errors", "{number:.1f} standard errors between halves")


def judge_seeds(ensemble: Mapping) -> Judged:
    """Functions that the two members which agree least do not share; members differ by fold and, in a network, seed."""
    pairs = ensemble["agreement"]["pairs"]
    if not pairs:
        return not_computed("there is only one member; use two seeds or two folds")
    n_functions = int(ensemble["agreement"]["n_functions"])
    worst = min(pairs, key=lambda pair: pair["overlap"])
    lost = n_functions * (1 - worst["overlap"])
    one, other = (
        f"fold {member['fold']} seed {member['seed']}"
        for member in map(ensemble["members"].__getitem__, worst["members"])
    )
    verdict = "fail" if lost >= FAIL_LOST_FUNCTIONS else "warn" if lost > PASS_LOST_FUNCTIONS else "pass"
    reasons = [] if verdict == "pass" else [f"{one} and {other} found different functions: {lost:.1f} of {n_functions}"]
    return Judged(verdict, f"at least {n_functions - lost:.2f} of {n_functions} functions shared", lost, reasons)


def judge_encoder(check: Mapping) -> Judged:
    """R² of the denoising head on the system; a run that was allowed to go on below the threshold has a warning."""
    number = f"R² {check['r2']:.2f} ± {check['standard_error']:.2f}"
    return Judged("pass" if check["verdict"] == "pass" else "warn", number, check["r2"], check["causes"])


def judge_vamp2(found: Mapping) -> Judged:
    """The score of the variables against the score that the model's timescales allow."""
    return taken(found, "largest_difference_in_errors", "{number:.1f} standard errors ({largest_difference:.3f})")


def judge_spectrum(found: Mapping) -> Judged:
    """The ratio of the timescales on both sides of the number of macrostates, or how many were asked for in vain."""
    n_found, n_asked = found["n_macrostates"], found["n_macrostates_asked"]
    if n_found < n_asked:
        return Judged(found["verdict"], f"{n_found} of {n_asked} states found", float(n_found), found["reasons"])
    return taken(found, "gap", "gap {number:.1f} behind {n_macrostates} states")


def judge_relaxation(found: Mapping) -> Judged:
    """The largest deviation of correlation functions counted in the trajectories from those of the model."""
    return taken(found, "largest_deviation_in_errors", "{number:.1f} standard errors")


def judge_equilibrium(found: Mapping, *, biased: bool) -> Judged:
    """Whether populations and timescales are the same without detailed balance; nothing helps with biased data."""
    words = "{largest_of_all_in_errors:.1f} standard errors, the largest of {n_compared} differences"
    judged = taken(found, "largest_difference_in_errors", words)
    if not biased:
        return judged
    verdict = max(judged.verdict, "warn", key=VERDICTS.index)
    return replace(judged, verdict=verdict, reasons=[*judged.reasons, BIASED])


def judge_interpretation(found: Mapping) -> Judged:
    """How much of the importance the two ways that agree least give to the same tokens."""
    if not found["agreement"]:
        return Judged(found["verdict"], "–", None, found["reasons"])
    least = min(found["agreement"], key=lambda pair: pair["overlap"])
    number = f"{least['overlap']:.0%} shared by {' and '.join(least['methods'])}"
    return Judged(found["verdict"], number, least["overlap"], found["reasons"])


def overall(rows: Sequence[Mapping]) -> str:
    """The gravest verdict of all."""
    return max((str(row["verdict"]) for row in rows), key=VERDICTS.index)


def headline(rows: Sequence[Mapping]) -> str:
    """The table in a few words: how many checks pass, and which do not."""
    by_verdict = {verdict: [str(row["check"]) for row in rows if row["verdict"] == verdict] for verdict in VERDICTS}
    if len(by_verdict["pass"]) == len(rows):
        return f"The model passes all {len(rows)} checks."
    parts = [f"The model passes {len(by_verdict['pass'])} of {len(rows)} checks"]
    for name, verdict in {"Failed": "fail", "Warnings": "warn", "Not estimable": "not estimable"}.items():
        parts += [f"{name}: {', '.join(by_verdict[verdict])}"] if by_verdict[verdict] else []
    return ". ".join(parts) + "."
