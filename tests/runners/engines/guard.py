"""Runs a command in a process group of its own and kills the group when standard input ends, or the command does.

    python guard.py LOG COMMAND [ARGUMENT …]

Standard input is a pipe from the test's process: it ends however that process ends, SIGKILL included. What the command starts
stays in its group (a TaskManager's SDK workers do), so nothing is left. The first line of output is the command's process id.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading


def main() -> None:
    """Wait for the end of the command or of standard input, whichever comes first."""
    log, *command = sys.argv[1:]
    with open(log, "ab") as output:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, process_group=0)
    print(child.pid, flush=True)

    def wait_for_child() -> None:
        child.wait()
        end(child)

    threading.Thread(target=wait_for_child, daemon=True).start()
    sys.stdin.buffer.read()
    end(child)


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill the group and leave. Temporary files are the caller's to remove: nothing here needs time to tidy up."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    os._exit(0)


if __name__ == "__main__":
    main()
