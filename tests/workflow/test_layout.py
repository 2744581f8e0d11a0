"""What can drift is held together here: rules, scripts, environments, config keys, import directions, sizes."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from geom2msm.config_reference import schema_names
from geom2msm.provenance import imported_modules
from geom2msm.schema import read_schema

ROOT = Path(__file__).parents[2]
SNAKEFILES = [ROOT / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk"))]
PACKAGE = ROOT / "scripts" / "geom2msm"
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
SNAKEMAKE = ROOT / ".driver" / "bin" / "snakemake"
COLLECTING_RULES = {"all", "figures", "sweeps"}
# A module imports only from groups to the left of its own, and from its own group.
LAYERS = [
    {"log", "peak_memory", "provenance", "units", "formats", "schema", "config_reference", "download", "judgement"}
    | {"schema_checks", "sweeps", "sweep_table", "resource_estimates", "papers"},
    {"residues", "elements", "topology_files", "topology", "token_rules", "token_table"},
    {"periodic", "molecules", "complexes", "trajectory_text", "trajectory_headers", "trajectory_formats"},
    {"trajectory", "trajectory_checks", "trajectory_times", "torsions", "distances", "log_weights", "simulation"}
    | {"observables", "named_observables", "contacts"},
    {"plain_zip", "frame_reader", "pieces", "store", "joined_store", "frame_table", "tokens"},
    {"environment"},
    {"encoder"},
    {"pairs", "runs", "splits"},
    {"mixers", "covariances", "vamp", "weights_files"},
    {"stored_tokens", "token_pairs", "tica"},
    {"gradient_parts", "vampnet", "training_state", "training", "history", "projection", "ensemble"}
    | {"spib", "spib_state", "spib_training"},
    {"interpreted", "importance", "attention_maps", "importance_summary", "embedding_maps"},
    {"sampled_matrices", "posterior", "markov", "markov_validation", "kinetics", "states", "initial_states"}
    | {"resampling", "transition_paths", "passage_times", "relaxation", "hidden_markov", "spectrum", "reversibility"},
    {"lag_choice", "connectivity", "sampling", "convergence", "vamp2_consistency", "member_scans"}
    | {"verdict_texts", "verdicts", "training_verdict"},
    {"ramachandran", "style", "free_energy", "network", "annotation", "state_contacts", "ensembles", "structure_files"}
    | {"observable_curves", "scattered", "sticks", "sweep_summary"}
    | {"verification", "status", "last_words"}
    | {"captions", "report_figures", "report_page", "report_tables"},
]  # fmt: skip


def rule_texts() -> dict[str, str]:
    parts = [re.split(r"^rule (\w+):\n", path.read_text(), flags=re.MULTILINE)[1:] for path in SNAKEFILES]
    return {name: text for part in parts for name, text in zip(part[::2], part[1::2], strict=True)}


RULES = rule_texts()


def functions(path: Path) -> list[tuple[str, int]]:
    """Name and body length, docstring left out, of every function in a file."""
    sizes = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            sizes.append((f"{path.name}:{node.name}", body[-1].end_lineno - body[0].lineno + 1 if body else 0))
    return sizes


@pytest.mark.parametrize("rule", sorted(set(RULES) - COLLECTING_RULES))
def test_a_rule_names_its_script_environment_log_and_source(rule):
    environment = "figures" if rule.startswith("figure_") else rule
    assert f'"../../scripts/{rule}.py"' in RULES[rule]
    assert f'"../../envs/{environment}.yaml"' in RULES[rule]
    assert f'source=source_digest("{rule}")' in RULES[rule]
    assert "log:" in RULES[rule]
    assert (ROOT / "scripts" / f"{rule}.py").is_file()


@pytest.mark.parametrize("rule", sorted(set(RULES) - COLLECTING_RULES))
@pytest.mark.parametrize("part", ["input", "output"])
def test_a_script_takes_what_its_rule_hands_over(rule, part):
    source = (ROOT / "scripts" / f"{rule}.py").read_text()
    section = re.search(rf"^    {part}:\n((?:        .*\n)+)", RULES[rule], re.MULTILINE)
    if section is None or f"**snakemake.{part}" not in source:
        return
    main = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "main")
    names = {argument.arg for argument in [*main.args.args, *main.args.kwonlyargs]}
    assert set(re.findall(r"^        (\w+)=", section[1], re.MULTILINE)) <= names


@pytest.mark.parametrize("rule", sorted(set(RULES) - COLLECTING_RULES))
def test_a_rule_asks_for_more_at_every_attempt(rule):
    # workflow/rules/resources.smk; a number would be the same when a cluster submits the job again.
    assert re.search(r"^ +mem_mb=(memory\(|\w+_memory,)", RULES[rule], re.MULTILINE)
    assert re.search(r"^ +runtime=(duration\(|\w+_duration,)", RULES[rule], re.MULTILINE)
    assert not re.search(r"^ +retries:", RULES[rule], re.MULTILINE), "retries belong into the profile"


def test_every_script_and_environment_belongs_to_a_rule():
    assert {path.stem for path in SCRIPTS} == set(RULES) - COLLECTING_RULES
    environments = {path.stem for path in (ROOT / "envs").glob("*.yaml")}
    assert environments == {"figures" if name.startswith("figure_") else name for name in set(RULES) - COLLECTING_RULES}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_one_way_only(module):
    def layer(name: str) -> int:
        return next(i for i, group in enumerate(LAYERS) if name in group)

    if module == PACKAGE / "__init__.py":
        assert not imported_modules(module)
        return
    own = layer(module.relative_to(PACKAGE).parts[0].removesuffix(".py"))
    for name in imported_modules(module):
        if name.startswith("geom2msm.") and (PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py")).is_file():
            assert layer(name.split(".")[1]) <= own, f"{module.name} imports {name}"


def test_nothing_below_a_script_knows_snakemake():
    for module in MODULES:
        assert not any(name.split(".")[0] == "snakemake" for name in imported_modules(module)), module


def test_files_and_functions_are_small():
    for path in SCRIPTS:
        assert path.read_text().count("\n") <= 60, path.name
    for path in MODULES:
        assert path.read_text().count("\n") <= 300, path.name
    for name in ("common", "inputs"):
        assert (ROOT / "workflow" / "rules" / f"{name}.smk").read_text().count("\n") <= 100, name
    sizes = sorted((size, name) for path in [*SCRIPTS, *MODULES, ROOT / "run.py"] for name, size in functions(path))
    assert sizes[-1][0] <= 60, sizes[-3:]
    assert sizes[int(0.9 * len(sizes))][0] <= 25, [name for size, name in sizes if size > 25]


def test_every_key_of_the_schemas_is_used_somewhere():
    def keys(schema: dict) -> set[str]:
        found = set(schema.get("properties", {}))
        parts = list(schema.get("properties", {}).values())
        if isinstance(schema.get("additionalProperties"), dict):
            parts.append(schema["additionalProperties"])
        return found.union(*map(keys, parts)) if parts else found

    code = "\n".join(
        path.read_text() for path in [*SNAKEFILES, *SCRIPTS, *MODULES] if path.name != "config_reference.py"
    )
    unused = {
        key
        for name in schema_names()
        for key in keys(read_schema(name))
        # Licences are for people.
        if key != "license" and not re.search(rf"\b{key}\b", code)
    }
    assert not unused


def test_captions_and_figures_belong_together():
    captions = {path.stem for path in (ROOT / "workflow" / "report").glob("*.rst")} - {"workflow"}
    assert captions == {name.removeprefix("figure_") for name in RULES if name.startswith("figure_")}


def snakemake(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([SNAKEMAKE, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


needs_snakemake = pytest.mark.skipif(not SNAKEMAKE.exists(), reason="no .driver; python3 run.py test makes it")


@needs_snakemake
def test_lint_finds_nothing():
    result = snakemake("--lint")
    assert result.returncode == 0, result.stdout + result.stderr


def test_rule_files_are_formatted():
    files = [str(path) for path in [*SNAKEFILES, ROOT / "workflow" / "Snakefile"]]
    result = subprocess.run(
        [sys.executable, "-m", "snakefmt", "--check", *files], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("command", [("check",), ("format", "--check")], ids=" ".join)
def test_ruff_finds_nothing(command):
    result = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


@needs_snakemake
@pytest.mark.parametrize("system", sorted(path.stem for path in (ROOT / "config/systems").glob("*.yaml")))
def test_every_system_gives_a_complete_graph_of_jobs(system):
    files = yaml.safe_load((ROOT / "config" / "systems" / f"{system}.yaml").read_text())["trajectories"]
    if "topology" in files and not (ROOT / files["topology"]).exists():
        pytest.skip(f"{files['topology']} is not here; see docs/data.md for where the data comes from")
    result = snakemake("--dry-run", "--quiet", "rules", "--config", f"systems=[{system}]", "--forceall")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "figure_implied_timescales" in result.stdout


@needs_snakemake
def test_a_system_without_a_model_on_torsions_needs_no_backbone(tmp_path):
    system = yaml.safe_load((ROOT / "config" / "systems" / "alanine_dipeptide.yaml").read_text())
    system["models"]["tica_torsions"]["feature"] = "residue_distances"
    (tmp_path / "systems").mkdir()
    (tmp_path / "systems" / "other.yaml").write_text(yaml.safe_dump(system))
    words = ("--dry-run", "--quiet", "rules", "--forceall", "--config")
    result = snakemake(*words, f"folder={tmp_path}", "systems=[other]")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "figure_implied_timescales" in result.stdout
    assert not re.search("torsions|ramachandran|free_energy", result.stdout)


@needs_snakemake
def test_a_config_mistake_is_one_line_without_traceback(tmp_path):
    result = snakemake("--dry-run", "--config", "systems=[alanine]")
    assert result.returncode != 0
    assert "config/systems/alanine.yaml: there is no such file" in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
