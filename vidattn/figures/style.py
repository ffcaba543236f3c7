"""One look for the whole book.

A mechanism has a colour of its own, ink is seen on light and dark pages, and figures
fit the column.
"""

import sys

# One colour a mechanism through the whole book. Any two differ by more than 15 in
# CIELAB to normal eyes and to simulated red- and green-blind ones (Machado et al.
# 2009), and each stands out from white by about 3 : 1. Each mechanism has a marker of
# its own, too, and every plot writes the names.
COLOURS = {
    "baseline": "#8b9198",
    "nonlocal": "#d55e00",
    "region": "#0072b2",
    "squeeze_excite": "#51946c",
    "cbam": "#5e5318",
    "global_context": "#942582",
    "chain": "#4990b8",
    "oracle": "#4d545c",
    "pyramid": "#704a3e",
    "crisscross": "#6332c9",
    "temporal": "#7f9451",
}
MARKERS = dict(
    zip(COLOURS, ("o", "s", "D", "^", "v", "P", "X", "*", "<", ">", "h"), strict=True)
)
# Between black and white: 5 : 1 on white, 4.6 : 1 on the light panel that the book puts
# behind figures in dark mode, and still 3.6 : 1 on near-black where nobody puts a panel
# (a notebook opened in a dark editor).
INK = "#646e79"
WIDTH = 7.4  # inches; the page's column
INKED = (
    "text.color",
    "axes.labelcolor",
    "axes.edgecolor",
    "xtick.color",
    "ytick.color",
    "grid.color",
)
TRANSPARENT = (
    "figure.facecolor",
    "axes.facecolor",
    "savefig.facecolor",
    "savefig.edgecolor",
)


def use_style() -> None:
    """Set seaborn's theme and the book's rules for every figure drawn from now on.

    Notebooks get vector figures with letters as outlines ('path'): the site shows a
    figure as an image of its own, which can reach no font of the page, and must look
    the same without a network and without the fonts of this machine.
    """
    import seaborn as sns

    sns.set_theme(
        context="paper",
        font_scale=10 / 9.6,  # labels of 10 points
        style="ticks",
        palette=list(COLOURS.values()),
        font="DejaVu Sans",  # comes with matplotlib: the same on every machine
        rc={
            **dict.fromkeys(TRANSPARENT, "none"),
            "figure.dpi": 110,
            "savefig.dpi": 200,
            "legend.frameon": False,
            **dict.fromkeys(INKED, INK),
            "grid.alpha": 0.2,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "lines.linewidth": 1.8,
            "image.interpolation": "nearest",
            "svg.fonttype": "path",
            "svg.hashsalt": "vidattn",  # the same figure gives the same file
        },
    )
    if (
        "ipykernel" in sys.modules
    ):  # asking for a notebook's formats elsewhere would start a shell
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None})
