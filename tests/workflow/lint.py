"""Read what `snakemake --lint` says from stdin; print all but one demand, and fail if any is left.

The demand for a conda environment or a container in each rule is answered once, for all of them:
uv sets up one environment, whose versions pyproject.toml dates.
"""

from __future__ import annotations

import sys

ANSWERED = "Specify a conda environment or container for each rule."


def findings(text: str) -> list[str]:
    """Every lint but the answered one, with the rule or file it is for."""
    found, where = [], ""
    for line in text.splitlines():
        if line.startswith("Lints for"):
            where = line.removeprefix("Lints for").strip(" :")
        elif line.startswith("    * ") and ANSWERED not in line:
            found.append(f"{where}: {line[6:]}")
    return found


if __name__ == "__main__":
    text = sys.stdin.read()
    if "Lints for rule" not in text and "Congratulations" not in text:
        sys.exit(f"snakemake --lint did not run:\n{text}")
    found = findings(text)
    print("\n".join(found) or "snakemake --lint: nothing to mend")
    sys.exit(bool(found))
