"""One line that says how far a run is, for people who wait."""

import sys
import time


class Progress:
    """Shows step, loss, learning rate and seconds left on stderr: one line of a terminal, else now and then.

    Args:
        name: What is running.
        total: Number of steps.
        done: Steps done before this process started.
        shown: False for silence.
    """

    def __init__(self, name: str, total: int, done: int = 0, shown: bool = True) -> None:
        self.name, self.total, self.first, self.shown = name, total, done, shown
        self.started = self.last = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def update(self, step: int, loss: float, lr: float) -> None:
        """Tell that `step` steps are done."""
        now = time.monotonic()
        pause = 0.2 if self.terminal else 20.0
        if not self.shown or (now - self.last < pause and step < self.total):
            return
        self.last = now
        left = (now - self.started) / max(1, step - self.first) * (self.total - step)
        line = f"{self.name}: step {step}/{self.total}, loss {loss:.4f}, lr {lr:.2e}, {left:.0f} s left"
        if self.terminal:
            print(f"\r\033[K{line}", end="\n" if step == self.total else "", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)
