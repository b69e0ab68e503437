"""Serves the fits of one script: external.py starts this, and asks for data sets one by one.

It is a program of its own, and imports nothing of this repository. A request is a line on stdin:
data file, K, whether sds are common, seed, the answer's file, the function and its options, each as
NAME=JSON, between tabs; an answer is lines of NAME=NUMBERS, or a text, and a last line `end`. Draws
lie in a file beside it.
"""

import importlib.util
import json
import os
import random
import sys
import time
from importlib.metadata import version

import numpy as np


def main(script):
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a package prints is no reply
    try:
        spec = importlib.util.spec_from_file_location("package_script", script)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        packages = [f"{name} {version(name)}" for name in module.PACKAGES]
    except Exception as error:
        say(replies, "absent", one_line(error))
        return
    say(replies, "ready", ", ".join(packages))
    for request in sys.stdin:
        data, k, equal_sds, seed, out, function, *given = request.rstrip("\n").split("\t")
        options = dict(option.split("=", 1) for option in given)
        options = {name: json.loads(value) for name, value in options.items()}
        random.seed(int(seed))
        np.random.seed(int(seed))  # noqa: NPY002  (what packages draw from by default)
        x = np.fromfile(data, "<f8")
        begin = time.perf_counter()
        try:
            fit = getattr(module, function)
            found = fit(x, int(k), equal_sds == "1", int(seed), **options)
            seconds = time.perf_counter() - begin
            write(out, {"seconds": seconds, **found})
        except Exception as error:
            seconds = time.perf_counter() - begin
            write(out, {"seconds": seconds, "error": one_line(error)})
        say(replies, "answered", out)


def say(replies, word, rest):
    replies.write(f"\n{word}\t{rest}\n")
    replies.flush()


def one_line(error):
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def write(out, found):
    draws = found.pop("draws", None)
    if draws is not None:
        np.asarray(draws, "<f8").tofile(f"{out}.draws")
        found["draws"] = np.shape(draws)
    with open(out, "w", encoding="utf-8") as file:
        for name, value in found.items():
            text = isinstance(value, str)
            shown = " ".join(value.split()) if text else ",".join(map(repr, numbers(value)))
            file.write(f"{name}={shown}\n")
        file.write("end\n")


def numbers(value):
    return np.asarray(value, dtype=float).ravel().tolist()


if __name__ == "__main__":
    main(*sys.argv[1:])
