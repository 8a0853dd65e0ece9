"""`python -m pipelines.validation FOLDER [ROWS,ROWS,…]`: run the benchmark and write its table, CSV and growth."""

import sys
from pathlib import Path

from pipelines.validation import benchmark


def main(folder: str, sizes: str = "") -> None:
    """Run the benchmark at the given sizes (by default 10,000, 100,000 and 1,000,000 rows)."""
    chosen = [int(size) for size in sizes.split(",")] if sizes else benchmark.SIZES
    result = benchmark.run_benchmark(chosen, progress=lambda text: print(text, file=sys.stderr, flush=True))
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    result.write_csv(target / "benchmark.csv")
    lines = [*benchmark.written(result), "", "| task | rows | growth exponent |", "|---|---:|---:|"]
    for row in benchmark.growth(result).iter_rows(named=True):
        lines.append(f"| {row['task']} | {row['rows']:,} | {row['exponent']:.2f} |")
    (target / "benchmark.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
