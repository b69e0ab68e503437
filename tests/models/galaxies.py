"""Real data with published numbers."""

import csv
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[2] / "study" / "data"


def column(file, name):
    with (FOLDER / file).open(encoding="utf-8") as lines:
        return np.array([float(row[name]) for row in csv.DictReader(lines)])


GALAXIES = column("galaxies.csv", "velocity") / 1000
FAITHFUL = column("faithful.csv", "waiting")
