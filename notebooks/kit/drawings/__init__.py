"""What pages draw and show: plots with intervals, diagrams, tables, run cards."""

from notebooks.kit.drawings.architecture import show_architecture
from notebooks.kit.drawings.card import run_card
from notebooks.kit.drawings.costs import parts_of_costs, stacked_bars
from notebooks.kit.drawings.diagram import diagram, layers_that_ran
from notebooks.kit.drawings.page import measured, say, show_rows, show_table
from notebooks.kit.drawings.plots import dot_plot, interval_plot

__all__ = [
    "diagram",
    "dot_plot",
    "interval_plot",
    "layers_that_ran",
    "measured",
    "parts_of_costs",
    "run_card",
    "say",
    "show_architecture",
    "show_rows",
    "show_table",
    "stacked_bars",
]
