"""Plots and numbers that several chapters share: attention maps, means with intervals,
run cards.

All figures are drawn for the width of the page's column, transparent, and returned as
`Figure` objects outside pyplot's list of open figures, so that a notebook's cell shows
one once.
"""

from vidattn.figures.attend import attention_figure
from vidattn.figures.card import run_card
from vidattn.figures.diagram import diagram, layers_that_ran
from vidattn.figures.maps import (
    activation_maps,
    attention_maps,
    capture,
    correlated_regions,
    in_and_out,
)
from vidattn.figures.page import say, show_table
from vidattn.figures.pictures import (
    show_activation,
    show_channels,
    show_maps,
    show_regions,
)
from vidattn.figures.plots import dot_plot, interval_plot
from vidattn.figures.style import COLOURS, INK, MARKERS, WIDTH, use_style

__all__ = [
    "COLOURS",
    "INK",
    "MARKERS",
    "WIDTH",
    "activation_maps",
    "attention_figure",
    "attention_maps",
    "capture",
    "correlated_regions",
    "diagram",
    "dot_plot",
    "in_and_out",
    "interval_plot",
    "layers_that_ran",
    "run_card",
    "say",
    "show_activation",
    "show_channels",
    "show_maps",
    "show_regions",
    "show_table",
    "use_style",
]
