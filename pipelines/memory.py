"""The highest resident memory of this process, as the kernel keeps it."""


def reset_high_water_mark() -> None:
    """Linux resets VmHWM when 5 is written to clear_refs (man 5 proc); elsewhere the mark is of the whole process's life."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return


def high_water_mark_mb() -> float:
    """The mark in MiB; 0 where the system does not tell."""
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0
