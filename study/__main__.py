"""Command line: `python -m study COMMAND ...`, a command a function, and the parser from its types.

Every job of the workflow loads this, so that it knows no more than where the functions are. What
they take is in their signatures: positional parameters are arguments, those after a * are options,
and the text of Annotated says what they are. Bad input is one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from types import UnionType
from typing import Annotated, Any, NoReturn, Union, get_args, get_origin, get_type_hints

from study.workflow import costs, run

# One thread a process: the workflow runs a process a core, and small BLAS calls only lose by more.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

FOR_PEOPLE = {
    "fit": "study.workflow.terminal:fit",
    "check": "study.workflow.forecast:check",
    "plan": "study.workflow.forecast:plan",
    "replay": "study.workflow.terminal:replay",
    "publish": "study.workflow.publish:publish",
    "reproduce": "study.workflow.reproduce:reproduce",
}
FOR_THE_WORKFLOW = {
    "simulate": "study.simulate:write_first",
    "compute": "study.workflow.job:compute",
    "gather": "study.workflow.gather:gather",
    "tables": "study.report.steps:tables",
    "figures": "study.report.steps:figures",
    "paper": "study.report.steps:paper",
    "index": "study.report.steps:index",
    "walkthrough": "study.walkthrough:make",
    "provenance": "study.workflow.provenance:write_provenance",
    "stages": "study.workflow.stages:write_stages",
    "benchmark": "study.benchmarks.steps:benchmark",
    "benchmark-exhibits": "study.benchmarks.steps:exhibits",
}
COMMANDS = FOR_PEOPLE | FOR_THE_WORKFLOW


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in COMMANDS:
        return _overview(words)
    run.end_with_it()
    command = words[0]
    try:
        with costs.part("import"):
            function = resolve_name(COMMANDS[command])
        given = vars(_parser(command, function).parse_args(words[1:]))
        with costs.recorded(given.get("step", command), given.get("out")):
            code = _call(function, given)
    except (ValueError, OSError) as error:
        # Of a design each problem, where it is checked.
        problems = getattr(error, "problems", ()) if command == "check" else ()
        for problem in problems or (error,):
            print(f"study {command}: {problem}", file=sys.stderr)
        return 2
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; --help says what it takes\n")


def _parser(command: str, function: Callable[..., Any]) -> argparse.ArgumentParser:
    parser = _Parser(prog=f"python -m study {command}", description=inspect.getdoc(function))
    types = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        _add(parser, parameter, types[name])
    return parser


def _add(parser: argparse.ArgumentParser, parameter: inspect.Parameter, annotation: Any) -> None:
    """The argument or option that a parameter is, by its kind, type and default."""
    of, said = _unwrapped(annotation)
    default = parameter.default
    settings: dict[str, Any] = {"help": said}
    if default not in (parameter.empty, None, False, "", ()):
        settings["help"] = f"{said} (default {default})".strip()
    if of is bool:
        settings["action"] = "store_true"
    elif get_origin(of) is tuple:
        settings |= {"nargs": "+", "type": get_args(of)[0], "default": default}
    else:
        # A design is loaded when all is known to be there.
        settings |= {"type": str if of.__name__ == "Design" else of, "default": default}
    if parameter.kind is parameter.VAR_POSITIONAL:
        parser.add_argument(parameter.name, nargs="*", help=said, type=of)
    elif parameter.kind is not parameter.KEYWORD_ONLY:
        del settings["default"]
        parser.add_argument(parameter.name, **settings)
    else:
        flag = "-" * min(len(parameter.name), 2) + parameter.name.replace("_", "-")
        short = ["-c"] if parameter.name == "column" else []
        parser.add_argument(*short, flag, required=default is parameter.empty, **settings)


def _unwrapped(annotation: Any) -> tuple[Any, str]:
    """The type behind Annotated and `| None`, and the text of the former."""
    said = ""
    if get_origin(annotation) is Annotated:
        annotation, said = get_args(annotation)
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(one for one in get_args(annotation) if one is not type(None))
    return annotation, said


def _call(function: Callable[..., Any], given: dict[str, Any]) -> int:
    """The exit code, where the function gives one."""
    if "design" in given:
        given = given | {"design": resolve_name("study.design:load")(given["design"])}
    arguments: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            arguments += given.pop(parameter.name)
        elif parameter.kind is not parameter.KEYWORD_ONLY:
            arguments.append(given.pop(parameter.name))
    code: int = function(*arguments, **given) or 0
    return code


def _overview(words: Sequence[str]) -> int:
    """Say which commands there are, or that there is none of that name."""
    if words and words[0] not in ("-h", "--help"):
        print(f"study: unknown command {words[0]!r}; choose from {', '.join(COMMANDS)}",
              file=sys.stderr)  # fmt: skip
        return 2
    print("usage: python -m study COMMAND ...; COMMAND --help says what it takes")
    for title, commands in (("For people", FOR_PEOPLE), ("For the workflow", FOR_THE_WORKFLOW)):
        print(f"\n{title}:")
        for command, place in commands.items():
            print(f"  {command:<20}{_summary(place)}")
    return 0 if words else 2


def _summary(place: str) -> str:
    """The first line of a function's docstring, read from its file and not by importing it."""
    module, _, name = place.partition(":")
    found = find_spec(module)
    assert found is not None
    assert found.origin is not None
    for node in ast.parse(Path(found.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    raise AttributeError(f"{module} has no function {name}")


if __name__ == "__main__":
    sys.exit(main())
