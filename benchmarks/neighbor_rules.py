"""VAMP-2 under the three neighbor rules: a system of the repository, run once per encoder, rule and selection of atoms.

python benchmarks/neighbor_rules.py pentapeptide --folder results/neighbor_rules --model vampnet \
    --encoders visnet_l6_h64 geom2vec_visnet_l6_h64 --selections "not element H" all -- --cores 2

What stands after -- goes to run.py. Folds, seeds and models are those of the system. The workflow runs in a folder of
its own, with variants of the system's file; a run that was stopped goes on where it was. Printed: mean and standard
deviation over folds and seeds of the score on validation pairs, by both estimators, and on training pairs.
"""

import argparse
import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).parents[1]
SCORES = ("score_training", "score_validation", "score_validation_batch_mean")


def variants(arguments: argparse.Namespace) -> dict[str, tuple[str, str, str]]:
    """Encoder, rule and selection by the name of the variant."""
    chosen = itertools.product(arguments.encoders, arguments.rules, arguments.selections)
    return {re.sub(r"[^a-z0-9]+", "_", "_".join(each).lower()): each for each in chosen}


def prepare(folder: Path, system: str, chosen: dict[str, tuple[str, str, str]]) -> None:
    """The working folder: links to what is read, and a system file per variant."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("data", "resources"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to((ROOT / name).resolve())
    shutil.copytree(ROOT / "config", folder / "config", dirs_exist_ok=True)
    settings = yaml.safe_load((ROOT / "config" / "systems" / f"{system}.yaml").read_text())
    for name, (encoder, rule, selection) in chosen.items():
        changed = settings | {"encoder": encoder, "neighbor_rule": rule}
        changed["trajectories"] = settings["trajectories"] | {"selection": selection}
        (folder / "config" / "systems" / f"{name}.yaml").write_text(yaml.safe_dump(changed))


def row(folder: Path, name: str, model: str) -> dict[str, float]:
    """Mean and standard deviation of the scores of all members."""
    ensemble = json.loads((folder / "results" / name / "models" / model / "ensemble.json").read_text())
    members = pd.DataFrame(ensemble["members"])
    found = {"members": len(members)}
    for score in SCORES:
        found |= {score: members[score].mean(), f"{score}_sd": members[score].std()}
    return found


def main() -> None:
    """Run the workflow on all variants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--model", default="vampnet")
    parser.add_argument("--encoders", nargs="+", default=["visnet_l6_h64"])
    parser.add_argument("--rules", nargs="+", default=["nearest32", "all", "first32"])
    parser.add_argument("--selections", nargs="+", default=["not element H"])
    parser.add_argument("--print-only", action="store_true", help="run nothing, print what is there")
    own, passed = (sys.argv[1:], []) if "--" not in sys.argv else _cut(sys.argv[1:])
    arguments = parser.parse_args(own)
    chosen, folder = variants(arguments), arguments.folder.resolve()
    if not arguments.print_only:
        prepare(folder, arguments.system, chosen)
        targets = [f"results/{name}/models/{arguments.model}/ensemble.json" for name in chosen]
        command = [sys.executable, str(ROOT / "run.py"), *targets, "--directory", str(folder)]
        subprocess.run([*command, "--config", f"systems=[{','.join(chosen)}]", *passed], check=True)
    table = {each: row(folder, name, arguments.model) for name, each in chosen.items()}
    print(pd.DataFrame(table.values(), index=pd.MultiIndex.from_tuples(table)).round(3).to_string())


def _cut(words: list[str]) -> tuple[list[str], list[str]]:
    place = words.index("--")
    return words[:place], words[place + 1 :]


if __name__ == "__main__":
    main()
