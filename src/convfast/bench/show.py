"""The terminal: rich where it is installed, plain lines where it is not."""

import sys
import time
from importlib.util import find_spec

from convfast.bench.report import plain, time_text

SILENCE_S = 5  # plain lines about the progress come no closer than this


def has_rich():
    return find_spec("rich") is not None


class PlainProgress:
    """A line now and then: how far, and how long still."""

    def __init__(self):
        self.begin = self.spoken = time.monotonic()
        self.done = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def tell(self, done, text):
        self.done = self.done if done is None else done
        now = time.monotonic()
        if now - self.spoken >= SILENCE_S:
            self.spoken = now
            left = f", about {time_text((now - self.begin) * (1 / self.done - 1))} left" if self.done > 0.02 else ""
            print(f"{100 * self.done:3.0f} %{left}: {text}", file=sys.stderr, flush=True)


class RichProgress:
    """A bar with the time left."""

    def __init__(self):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}")
        self.progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self.task = self.progress.add_task("", total=1.0)

    def __enter__(self):
        self.progress.start()
        return self

    def __exit__(self, *_):
        self.progress.stop()

    def tell(self, done, text):
        self.progress.update(self.task, description=text, **({} if done is None else {"completed": done}))


def progress():
    return RichProgress() if has_rich() and sys.stderr.isatty() else PlainProgress()


def show_table(table):
    """Numbers to the right, losses and failures in red."""
    if not (has_rich() and sys.stdout.isatty()):
        print(plain(table))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    title, head, rows = table
    drawn = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for i, word in enumerate(head):
        numeric = i > 0 and all(row[i][:1] in "0123456789+-" for row in rows if row[i])
        drawn.add_column(word, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        bad = any(word in ("LOST", "WRONG", "FAILED") for word in row)
        own = row[0].startswith("convfast")
        drawn.add_row(*(Text(word) for word in row), style="red" if bad else "bold" if own else None)
    Console().print(drawn)
