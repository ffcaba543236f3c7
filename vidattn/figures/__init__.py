"""What a network looks at, as numbers and as pictures.

These are attention maps, activation maps and regions. All figures are drawn for the
width of the page's column, transparent, and returned as `Figure` objects outside
pyplot's list of open figures, so that a notebook's cell shows one once.
"""

from vidattn.errors import MissingExtra

try:
    from vidattn.figures.attend import attention_figure
    from vidattn.figures.maps import (
        activation_maps,
        attention_maps,
        capture,
        correlated_regions,
        in_and_out,
    )
    from vidattn.figures.pictures import (
        show_activation,
        show_channels,
        show_maps,
        show_regions,
    )
    from vidattn.figures.style import COLOURS, INK, MARKERS, WIDTH, use_style
except ModuleNotFoundError as error:
    raise MissingExtra("figures", error) from None

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
    "in_and_out",
    "show_activation",
    "show_channels",
    "show_maps",
    "show_regions",
    "use_style",
]
