"""`python -m pipelines.validation FOLDER [--task NAME …] [--rows N,N,…] [--rounds N]`: run the benchmark.

Writes `benchmark.csv`, `benchmark.md` and the figure `growth.svg` to FOLDER and prints the tables. Exit 0 also where a
promise was not kept (a busy machine is no fault of the code); the last lines say which.
"""

import argparse
import sys
from pathlib import Path

from pipelines.validation import benchmark
from pipelines.validation.benchmark_page import draw_growth, written


def main(arguments: list[str]) -> None:
    """Read the options, run, write and print."""
    chosen = _options(arguments)
    try:
        result = benchmark.run_benchmark(
            chosen.rows, chosen.rounds, chosen.task or benchmark.TASKS, lambda text: print(text, file=sys.stderr)
        )
    except benchmark.UnknownTask as problem:
        sys.exit(str(problem))
    chosen.folder.mkdir(parents=True, exist_ok=True)
    result.write_csv(chosen.folder / "benchmark.csv")
    lines = list(written(result))
    (chosen.folder / "benchmark.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw_growth(result, chosen.folder / "growth.svg")
    print("\n".join(lines))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pipelines.validation", description="Time every estimator.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the table, CSV and figure go")
    names = ", ".join(benchmark.TASKS)
    sizes = ",".join(str(size) for size in benchmark.SIZES)
    parser.add_argument("--task", action="append", metavar="NAME", help=f"only this one, may be given again: {names}")
    parser.add_argument("--rows", type=_sizes, default=benchmark.SIZES, metavar="N,N", help=f"sizes ({sizes})")
    parser.add_argument("--rounds", type=int, default=benchmark.ROUNDS, metavar="N", help="rounds of each engine (3)")
    return parser.parse_args(arguments)


def _sizes(text: str) -> list[int]:
    sizes = [int(size) for size in text.replace("_", "").split(",")]
    if min(sizes) < 100:
        raise argparse.ArgumentTypeError("ask for at least 100 rows")
    return sizes


if __name__ == "__main__":
    main(sys.argv[1:])
