"""Signals that stop a command: one exception, which knows the signal and what the command had published by then."""

import signal


class Stopped(KeyboardInterrupt):
    """SIGINT or SIGTERM has reached this process."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """128 and the number of the signal, as shells count."""
        return 128 + self.number

    def __str__(self) -> str:
        left = "nothing was published" if published is None else f"generation {published} was published before"
        return f"stopped by {signal.Signals(self.number).name}; {left}"


# The signals that have reached this command, in order. Beam makes errors of its own of an interrupt inside a bundle: whoever
# handles one looks here for the reason.
received: list[Stopped] = []

# The generation that this command has published, once CURRENT names it.
published: str | None = None


def start() -> None:
    """Forget what an earlier command of this process was told and did."""
    global published
    received.clear()
    published = None
