"""Print how often 95 % intervals hold the truth, for every quantity that has one, on seeds that no test uses.

    OMP_NUM_THREADS=1 PYTHONPATH=scripts:tests python benchmarks/coverage.py --first-seed 1000 --repeats 200

One row per quantity: over how many numbers (states, pairs, times), the lowest and the mean share of repeats.
"""

import argparse

from coverage_cases import CASES, coverage


def main() -> None:
    """Run the cases one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    chosen = parser.parse_args()
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.repeats)
    print("| quantity | case | numbers | lowest % | mean % |\n|---|---|---|---|---|")
    for name in chosen.cases:
        share = coverage(CASES[name], seeds).groupby("quantity", sort=False).share
        for quantity, values in share:
            print(f"| {quantity} | {name} | {len(values)} | {100 * values.min():.1f} | {100 * values.mean():.1f} |")


if __name__ == "__main__":
    main()
