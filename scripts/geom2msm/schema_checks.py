"""What schemas cannot say of a system: keys that must fit each other, each mistake in one sentence."""

from collections.abc import Iterator, Mapping

from geom2msm.units import frames

NAME = "made of a-z, 0-9 and _ only"
# What the patterns of the schemas ask for, for people.
PATTERN_WORDS = {
    "^[a-z0-9_]+$": NAME,
    "^[a-z0-9_]+([.][a-z0-9_]+)?$": f"{NAME}, or two such names with a point between them",
    "^[A-Za-z0-9_.+-]+$": "made of letters without accents, digits and _ . + - only",
    "^https://": "an address that begins with https://",
    "^[0-9a-f]{64}$": "a SHA-256 checksum: 64 of the digits 0-9 and a-f",
    "^[A-Z][a-z]?$": "the symbol of an element, as Se",
    "^(skip|[A-Z][a-z]?)$": "skip or the symbol of an element, as S",
    "^(most_probable|least_probable|slowest_process)$": "most_probable, least_probable, slowest_process or a list",
    "[{]trajectory[}].*[.]csv$": "a path with {trajectory} in it, for each has a file of its own, that ends in .csv",
    "[{]trajectory[}].*[.](npy|csv)$": (
        "a path with {trajectory} in it, for each has a file of its own, that ends in .npy or .csv"
    ),
}


def system_problems(system: Mapping, encoders: Mapping) -> Iterator[str]:
    """Everything that is wrong with a system whose sections are valid each for itself."""
    trajectories, msm, models = system["trajectories"], system["msm"], system["models"]
    brought = [key for key in ("topology", "files") if key in trajectories]
    if ("simulate" in trajectories) == bool(brought) or len(brought) == 1:
        yield f"trajectories needs either simulate, or both topology and files; found {', '.join(sorted(trajectories))}"
    if system["encoder"] not in encoders:
        yield f"encoder is {system['encoder']!r}; config/encoders.yaml has {', '.join(encoders)}"
    for role in ("model", "baseline"):
        if msm[role] not in models:
            yield f"msm.{role} is {msm[role]!r}, but models has {', '.join(models)}"
    if msm["model"] == msm["baseline"]:
        yield f"msm.model and msm.baseline are both {msm['model']!r}, which leaves nothing to compare; name two models"
    if msm["lag_ps"] not in msm["scan_lags_ps"]:
        yield f"msm.scan_lags_ps does not contain msm.lag_ps = {msm['lag_ps']:g}; add it"
    if msm["n_macrostates"] > msm["n_microstates"]:
        yield f"msm.n_macrostates is {msm['n_macrostates']}, but msm.n_microstates = {msm['n_microstates']}; lower it"
    if not trajectories["selection"].strip():
        yield "trajectories.selection is empty; `all` selects every atom"
    if all(rule["per"] == "context" for rule in system["tokens"]["rules"]):
        yield "tokens.rules: every rule is per: context, which makes no token; add a rule that does"
    for rule in system["tokens"]["rules"]:
        if ("name" in rule) != (rule["per"] == "fragment"):
            yield f"tokens.rules: {rule['selection']!r}: a rule needs a name if, and only if, it is per: fragment"
    yield from _path_problems(msm)
    yield from split_problems(system)
    for name, model in models.items():
        yield from model_problems(model, system, key=f"models.{name}")
    scan = {f"msm.scan_lags_ps[{i}]": lag for i, lag in enumerate(msm["scan_lags_ps"])}
    yield from _lag_problems(scan, trajectories)


def split_problems(system: Mapping) -> Iterator[str]:
    """What is wrong with the split of a system, given its models."""
    split, longest_ps = system["split"], max(model["lag_ps"] for model in system["models"].values())
    if (split["scheme"] == "blocks") != (split["block_ns"] is not None):
        yield "split: block_ns goes with scheme: blocks, and that needs it"
    elif split["block_ns"] is not None and 1000 * split["block_ns"] < 10 * longest_ps:
        yield (
            f"split.block_ns = {split['block_ns']:g} is less than ten times the longest lag of a model, "
            f"{longest_ps:g} ps; the gaps between blocks would take too many frames"
        )
    for role in ("model", "baseline"):
        if system["models"].get(system["msm"][role], {}).get("control", "none") != "none":
            yield f"msm.{role} is {system['msm'][role]!r}, a negative control, whose variables mean nothing"


def _path_problems(msm: Mapping) -> Iterator[str]:
    ends, n_states = msm["transition_paths"], msm["n_macrostates"]
    rules = {"most_probable": [1], "least_probable": [n_states], "slowest_process": []}
    states = {end: rules[value] if isinstance(value, str) else value for end, value in ends.items()}
    for end, numbers in states.items():
        if any(number > n_states for number in numbers):
            yield f"msm.transition_paths.{end} is {ends[end]!r}, but msm.n_macrostates = {n_states}"
    if ends["source"] == ends["target"] == "slowest_process":
        yield "msm.transition_paths: source and target cannot both be slowest_process; name one of them"
    elif set(states["source"]) & set(states["target"]):
        yield f"msm.transition_paths: source is {ends['source']!r} and target {ends['target']!r}, but they must differ"
    elif len(set(states["source"]) | set(states["target"])) == n_states and not all(states.values()):
        yield "msm.transition_paths: no state is left for slowest_process to choose"


def _mixer_problems(model: Mapping, *, key: str) -> Iterator[str]:
    mixer, merging = model.get("mixer"), model.get("token_merging")
    if "mixer" in model and ("feature" in model) != (mixer == "mlp"):
        yield (
            f"{key}: mixer: mlp works on a feature and the other mixers on tokens; "
            + ("choose mixer: mlp or remove feature" if "feature" in model else "add feature or choose another mixer")
        )
    if mixer == "mlp" and merging:
        yield f"{key}: mixer: mlp works on a feature, which has no tokens to merge; remove token_merging"
    if mixer == "equivariant" and (merging or {}).get("merger") == "scalar":
        yield f"{key}: token_merging.merger: scalar leaves no vectors to mixer: equivariant; choose merger: equivariant"
    if model.get("chiral") and not model["qk_convolution"]:
        yield f"{key}: chiral: true needs qk_convolution of 1 or more, which alone sees dihedral angles"
    if model.get("hidden_channels", 0) % model.get("n_heads", 1):
        yield (
            f"{key}: hidden_channels = {model['hidden_channels']} is not a multiple of n_heads = {model['n_heads']}; "
            "change one of them"
        )


def model_problems(model: Mapping, system: Mapping, *, key: str) -> Iterator[str]:
    """What is wrong with one model of a system, which its section is named by."""
    yield from _mixer_problems(model, key=key)
    if model.get("reversible") and model.get("lobes") == 2:
        yield f"{key}: reversible: true needs lobes: 1, for a reversible process looks the same both ways"
    usable = [name for name, other in system["models"].items() if other["kind"] != "spib"]
    if model["kind"] == "spib" and model["initial_labels"] not in usable:
        yield (
            f"{key}.initial_labels is {model['initial_labels']!r}, but must be one of the models of kind "
            f"vampnet or tica: {', '.join(usable) or 'none here, add one'}"
        )
    yield from _lag_problems({f"{key}.lag_ps": model["lag_ps"]}, system["trajectories"])


def _lag_problems(lags: Mapping[str, float], trajectories: Mapping) -> Iterator[str]:
    stride = trajectories["stride"]
    for key, lag_ps in lags.items():
        try:
            frames(lag_ps=lag_ps, frame_interval_ps=stride * trajectories["frame_interval_ps"])
        except ValueError as error:
            yield f"{key}: {error}" + (", that is trajectories.frame_interval_ps times stride" if stride > 1 else "")
