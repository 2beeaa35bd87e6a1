"""A wrong clock for one process, through libfaketime (https://github.com/wolfcw/libfaketime)."""

import subprocess


def wrong_clock(faketime: str, shift: str) -> dict[str, str]:
    """The environment of a process whose wall clock is off by `shift`, such as `+15s`. `faketime` is the tool's path.

    The tool itself would stay in between as a parent that passes no signal on, hence it only says what it preloads.
    Monotonic time stays right: a wrong wall clock does not move it. So do the times of files.
    """
    command = [faketime, "-m", "-f", shift, "env"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    shown = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
    return {
        "LD_PRELOAD": shown["LD_PRELOAD"],
        "FAKETIME": shift,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",  # its name before version 0.9.10
        "NO_FAKE_STAT": "1",
    }
