"""Imports paid once a run: a server that a run starts, and that forks itself for each job.

A process needs four seconds to import PyMC's tools and load what Numba has compiled, and a study
has a hundred jobs. `python -m study.workflow.worker COMMAND ...` is `python -m study COMMAND ...`
in a fork of the run's server, with this process's working directory, output and exit code; where
there is no server, as on another machine, this process does it itself.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import platform
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

from study.__main__ import main
from study.workflow import costs

ADDRESS = "STUDY_WORKER"
_HELD: list[subprocess.Popen[bytes]] = []


def start() -> None:
    """Start a server that ends with this process; jobs find it by the environment.

    On Linux only: elsewhere a fork may not use the system's own libraries.
    """
    os.environ[costs.RUN] = f"{platform.node()}:{os.getpid()}"
    if sys.platform != "linux":
        return
    os.environ[ADDRESS] = str(Path(tempfile.mkdtemp(prefix="study-")) / "socket")
    # The pipe to its standard input closes when this process ends, however it ends.
    command = [sys.executable, "-m", "study.workflow.worker", "--serve", os.environ[ADDRESS]]
    root = Path(__file__).parents[2]
    _HELD.append(subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE))


def leave() -> None:
    """Know no server: jobs of this process do their work themselves.

    For a process that inherits the address of a run and is not part of it, such as a job that a
    cluster has put on the same machine, whose work would otherwise escape its limits.
    """
    os.environ.pop(ADDRESS, None)


def serve(address: str) -> None:
    """Answer jobs at a socket until standard input closes; the first one waits for the imports."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody asks how a fork ended but its client.
    ready = False
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as events:
        listener.bind(address)
        listener.listen()
        events.register(listener, selectors.EVENT_READ)
        events.register(sys.stdin, selectors.EVENT_READ)
        while all(key.fileobj is listener for key, _ in events.select()):
            client, _ = listener.accept()
            if not ready:
                _load()
                ready = True
            if os.fork() == 0:
                listener.close()
                _answer(client)
            client.close()
    Path(address).unlink()
    Path(address).parent.rmdir()


def _load() -> None:
    """Import and load all that jobs need. A thread left running here would not be in the forks."""
    with costs.part("import", costs.SERVER):
        for module in ("compute.fits", "report.contents", "report.findings", "report.write"):
            importlib.import_module(f"study.{module}")
        from models.methods import load_engine, warm_up

        load_engine("pymc")
    with costs.part("compile", costs.SERVER):
        warm_up()
    gc.freeze()


def _answer(client: socket.socket) -> None:
    """Do what a client asks for, in this fork of the server, and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = 1
    try:
        message, outputs, _, _ = socket.recv_fds(client, 1 << 16, 2)
        request = json.loads(message)
        for target, output in zip((1, 2), outputs, strict=True):
            os.dup2(output, target)
        os.chdir(request["folder"])
        costs.JOB["client"] += request["seconds"]
        threading.Thread(target=_end_with, args=(client,), daemon=True).start()
        code = main(request["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        with contextlib.suppress(OSError):
            client.sendall(bytes([code]))
        os._exit(code)


def _end_with(client: socket.socket) -> None:
    """End this process when its client has ended, for which nobody then waits."""
    with contextlib.suppress(OSError):
        client.recv(1)
    os._exit(1)


def run(arguments: list[str]) -> int:
    """Do one job in a fork of the server, or here if there is none; its exit code."""
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(os.environ[ADDRESS])
        except (KeyError, OSError):
            return main(arguments)
        request = {"folder": os.getcwd(), "arguments": arguments, "seconds": time.process_time()}
        socket.send_fds(server, [json.dumps(request).encode()], [1, 2])
        answer = server.recv(1)
    if not answer:
        print("study.worker: the job's process ended without a word", file=sys.stderr)
        return 1
    return answer[0]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    else:
        sys.exit(run(sys.argv[1:]))
