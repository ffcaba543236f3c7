"""What a page says and shows beside its figures."""

import pandas as pd


def say(text: str) -> None:
    """Show a sentence, in Markdown, whose numbers were computed."""
    from IPython.display import Markdown, display  # only notebooks need it

    display(Markdown(text))


def show_table(frame: pd.DataFrame, index: bool = False, wrap: bool = True) -> None:
    """Show a table in a smaller type.

    Args:
        frame: The table, its cells as they are to be read.
        index: Show the names of its rows, too.
        wrap: Break long cells into lines; else a wide table is scrolled.
    """
    from IPython.display import display

    style = "font-size: 0.85em; white-space: " + ("normal" if wrap else "nowrap")
    shown = frame.style.set_table_attributes(f'style="{style}"')
    display(shown if index else shown.hide(axis="index"))
