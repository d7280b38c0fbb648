"""Signals that stop a command: one exception, which knows the signal and what the command had published by then."""

import signal


class Stopped(KeyboardInterrupt):
    """SIGINT or SIGTERM has reached this process. `generation` is what had been published when it came, None for nothing."""

    def __init__(self, number: int, generation: str | None = None) -> None:
        super().__init__(number, generation)
        self.number, self.generation = number, generation

    @property
    def exit_code(self) -> int:
        """128 and the number of the signal, as shells count."""
        return 128 + self.number

    def __str__(self) -> str:
        left = "nothing was published" if self.generation is None else f"generation {self.generation} was published before"
        return f"stopped by {signal.Signals(self.number).name}; {left}"


# The signals that have reached this process, in order. Beam makes errors of its own of an interrupt inside a bundle: whoever
# handles one looks here for the reason.
received: list[Stopped] = []
