"""Embed one frame of each structure in a process of its own: tokens, atoms, seconds, peak memory.

    OMP_NUM_THREADS=1 python benchmarks/structures.py results/encoders/visnet_l6_h64.safetensors FILE ...

Hydrogens and water are left out. Times are process CPU seconds on one thread: those of one frame are the median of
the repetitions, the start includes imports, the topology, the token table and the compilation of the kernel.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "scripts"))

SELECTION = "not element H and not water"
REPETITIONS = 5


def embed_structure(path: str, weights: str, *, kernel: str) -> dict[str, object]:
    """What embedding one structure gives and costs, in this process."""
    import mdtraj

    from geom2msm.encoder.preparation import EmbeddingSettings, prepare_embedding
    from geom2msm.encoder.weights import load_encoder
    from geom2msm.peak_memory import peak_memory_mib
    from geom2msm.token_table import token_table
    from geom2msm.topology import load_topology, select_atoms
    from geom2msm.topology_files import residue_labels

    topology, (encoder, card) = load_topology(path), load_encoder(weights)
    selected = select_atoms(topology, SELECTION, file=path)
    table = token_table(topology, selected, labels=residue_labels(path, topology), file=path)
    settings = EmbeddingSettings("nearest32", kernel, "float32", "float16", None, False, {}, None)
    atoms, embedding = prepare_embedding(topology, table, selected, encoder, card, settings, file=path)
    positions = mdtraj.load_frame(path, 0).xyz[:, atoms] if path.endswith(".gz") else mdtraj.load(path).xyz[:1, atoms]
    embedding(positions)
    start, seconds = time.process_time(), []
    for _ in range(REPETITIONS):
        before = time.process_time()
        embedding(positions)
        seconds.append(time.process_time() - before)
    kinds = Counter(table["kind"]).most_common()
    return {
        "tokens": len(table), "atoms": len(atoms), "kinds": ", ".join(f"{n} {kind}" for kind, n in kinds),
        "frame_s": statistics.median(seconds), "start_s": start,
        "peak_mb": peak_memory_mib() * 1.048576, "kernel": embedding.embedder.encoder.path,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="weights as written by prepare_encoder")
    parser.add_argument("structures", nargs="+", help="PDB or mmCIF files")
    parser.add_argument("--kernel", default="auto", help="as tokens.kernel of a system")
    parser.add_argument("--here", action="store_true", help="embed the one structure in this process, print JSON")
    arguments = parser.parse_args()
    if arguments.here:
        warnings.simplefilter("ignore")
        found = embed_structure(arguments.structures[0], arguments.weights, kernel=arguments.kernel)
        print(json.dumps(found))
        return
    print(f"{'structure':24s} tokens   atoms  s/frame  s start  peak MB  kinds")
    for path in arguments.structures:
        command = [sys.executable, __file__, arguments.weights, path, "--kernel", arguments.kernel, "--here"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            print(f"{Path(path).name:24s} {result.stderr.strip().splitlines()[-1]}", flush=True)
            continue
        row = json.loads(result.stdout.splitlines()[-1])
        numbers = f"{row['tokens']:6d} {row['atoms']:7d} {row['frame_s']:8.4f}"
        numbers += f" {row['start_s']:8.1f} {row['peak_mb']:8.0f}"
        print(f"{Path(path).name:24s} {numbers}  {row['kinds']}", flush=True)
    print(row["kernel"])


if __name__ == "__main__":
    main()
