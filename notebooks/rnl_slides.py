# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   language_info:
#     name: python
# ---

# %% [markdown]
# (rnl-slides)=
# # The idea on one picture: averages, points, regions
#
# The authors' slides tell RNL's story with a noisy photograph: blurring it removes noise and detail alike; the non-local mean
# {cite}`buades2005nonlocal` averages only what looks alike, wherever it lies; and what "looks alike" means is better judged by a region than by a
# single pixel. This page runs that story, measures it, and then derives why it is true.
# It is a companion of {doc}`rnl`, without any network.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sympy
from IPython.display import Markdown, display

from vidattn import figures

figures.use_style()
SIZE = 64
rng = np.random.default_rng(7)

# %% [markdown]
# ## A scene that repeats itself
#
# The picture is drawn by code, so that the truth is known: two fields of stripes, two of checks and some rings, each kind in places far
# apart. A local average can use only what is near; a non-local one can use the other copy.

# %%
rows, columns = np.mgrid[:SIZE, :SIZE].astype(float)
scene = 0.35 + 0.2 * rows / SIZE


def paint(value, top, left, size=22):
    inside = (slice(top, top + size), slice(left, left + size))
    scene[inside] = value[inside]


stripes = 0.5 + 0.35 * np.sign(np.sin((rows + columns) * np.pi / 4))
checks = 0.5 + 0.3 * np.sign(np.sin(rows * np.pi / 3) * np.sin(columns * np.pi / 3))
for value, top, left in ((stripes, 2, 2), (stripes, 40, 40), (checks, 2, 40), (checks, 40, 2)):
    paint(value, top, left)
for top, left in ((32, 12), (32, 32), (12, 32), (32, 52), (53, 32)):
    away = np.hypot(rows - top, columns - left)
    scene[(away > 2.5) & (away < 5.5)] = 0.9

# %% [markdown]
# ## Four estimates of the same picture
#
# Each estimate is a weighted sum over pixels, $\hat{x}_i = \sum_j w_{ij} x_j$, and they differ in $w$ alone:
#
# - **average**: equal weights in the $9 \times 9$ window around $i$, zero elsewhere;
# - **non-local mean of pixels**: $w_{ij} \propto e^{-D_{ij} / h^2}$, $D_{ij} = (x_i - x_j)^2$, over the *whole* picture;
# - **non-local mean of regions**: the same, with $D_{ij}$ the mean squared difference of the regions around $i$ and $j$, of
#   $3 \times 3$ to $7 \times 7$ pixels.
#
# The last is what equation {eq}`rnl-eq-2` changes in {eq}`rnl-eq-1`. For vectors of equal length the distance and the inner product of RNL say the same:
# $\|\mathbf{r}_i - \mathbf{r}_j\|^2 = \|\mathbf{r}_i\|^2 + \|\mathbf{r}_j\|^2 - 2\, \mathbf{r}_i^\top \mathbf{r}_j$.
# To be fair to both, each method gets the bandwidth $h$, of those tried, that serves it best against the clean picture, at each noise level.


# %%
def windows(image, size):
    padded = np.pad(image, size // 2, mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, (size, size)).reshape(SIZE**2, -1)


def distances(image, size):
    """D_ij, the mean squared difference of the regions around i and j, (N, N)."""
    r = windows(image, size).astype(np.float32)
    r -= r.mean()
    squares = (r**2).sum(axis=1)
    return np.maximum(squares[:, None] + squares - 2 * r @ r.T, 0) / size**2


def nonlocal_mean(image, size, bandwidth):
    f = distances(image, size)
    f *= -1 / bandwidth**2
    np.exp(f, out=f)
    return (f @ image.ravel().astype(np.float32) / f.sum(axis=1)).reshape(SIZE, SIZE)


def psnr(image):
    """Peak signal-to-noise ratio against the clean scene, in decibels; the peak is 1."""
    return -10 * np.log10(np.mean((image - scene) ** 2))


def best(image, size, noise):
    tried = [
        nonlocal_mean(image, size, factor * noise) for factor in (0.3, 0.6, 0.8, 1.0, 1.5, 2.2)
    ]
    return max(tried, key=psnr)


levels, sizes = (0.05, 0.1, 0.2, 0.3), (3, 5, 7)
estimates = {}
for noise in levels:
    noisy = scene + noise * rng.standard_normal(scene.shape)
    average = windows(noisy, 9).mean(axis=1).reshape(SIZE, SIZE)
    estimates[noise] = {
        "noisy": noisy,
        "average 9 × 9": average,
        "non-local, pixels": best(noisy, 1, noise),
    }
    estimates[noise] |= {
        f"non-local, {size} × {size}": best(noisy, size, noise) for size in sizes
    }

# %% [markdown]
# Look at the stripes. The average wipes them out; the pixels' mean keeps them but leaves speckle, since a pixel that noise
# made brighter finds company among bright pixels everywhere; the regions' mean finds the true copies, also those in the opposite corner.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The slides' story at noise 0.1: the scene, the scene with noise, and three estimates of it. Only the last two look beyond the neighbourhood, and only the last one knows what it is looking for.", "name": "fig-slides"}, "image": {"alt": "Five grey pictures of stripes, checks and rings. The second is grainy. In the third, the 9 by 9 average, the stripes have vanished. In the fourth, the pixel-wise non-local mean, they are there but speckled. In the fifth, the region-wise one, they are clean."}}
shown = [
    name for name in estimates[0.1] if name not in ("non-local, 5 × 5", "non-local, 7 × 7")
]
pictures = {"scene": scene, **{name: estimates[0.1][name] for name in shown}}
fig, axes = plt.subplots(1, 5, figsize=(figures.WIDTH, 1.9), layout="constrained")
for axis, (name, image) in zip(axes, pictures.items(), strict=True):
    axis.imshow(image, cmap="gray", vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[])
    axis.set_xlabel(name, fontsize=8)
    axis.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# One picture may flatter. Here is the error of all of them at growing noise. Even a $3 \times 3$ region beats the pixel at every level. Larger ones do not
# win more here: the stripes are narrow, and a large region rarely finds a whole copy of itself. There is a best size, and it is the picture's.

# %%
table = pd.DataFrame(
    {
        f"{noise}": {name: psnr(image) for name, image in found.items()}
        for noise, found in estimates.items()
    }
)
table.columns.name = "PSNR, dB, at noise"
gain = table.loc["non-local, 3 × 3"] - table.loc["non-local, pixels"]
assert (gain > 0).all()
display(
    Markdown(
        "3 × 3 regions against pixels: "
        + ", ".join(f"{g:+.1f} dB at noise {n}" for n, g in gain.items())
        + "."
    )
)
table.style.format("{:.1f}")

# %% [markdown]
# ## Why a region's similarity beats a pixel's
#
# Take two regions of $n$ pixels, the true pictures differing by $\delta_k$ at place $k$, each seen with its own noise of standard deviation $\sigma$.
# The squared difference at a place is $(\delta_k + \varepsilon_k - \varepsilon'_k)^2$, where $\varepsilon_k - \varepsilon'_k$ has variance $2\sigma^2$. The cell below integrates: its mean is
# $\delta_k^2 + 2\sigma^2$, its variance $8\sigma^4 + 8\sigma^2\delta_k^2$. The distance is the mean over $n$ independent places:
#
# $$
# \mathbb{E}\, D = \overline{\delta^2} + 2\sigma^2, \qquad \operatorname{Var} D = \frac{8\sigma^4 + 8\sigma^2\, \overline{\delta^2}}{n} .
# $$ (rnl-slides-distance)
#
# So noise lifts all distances alike, by $2\sigma^2$, which does no harm after normalising. What misleads is the *spread* around the mean. For
# two regions that are truly the same it is $\sqrt{2/n}$ of the mean: more than the whole for a single pixel. It shrinks as $1/\sqrt{n}$.

# %%
delta, z = sympy.symbols("delta z", real=True)
sigma = sympy.Symbol("sigma", positive=True)
spread = sympy.sqrt(2) * sigma  # of the difference of two noises
normal = sympy.exp(-(z**2) / (2 * spread**2)) / (spread * sympy.sqrt(2 * sympy.pi))


def expected(value):
    return sympy.simplify(
        sympy.integrate(sympy.expand(value) * normal, (z, -sympy.oo, sympy.oo))
    )


mean = expected((delta + z) ** 2)
variance = sympy.factor(expected((delta + z) ** 4) - mean**2)
assert sympy.simplify(mean - delta**2 - 2 * sigma**2) == 0
assert sympy.simplify(variance - 8 * sigma**4 - 8 * sigma**2 * delta**2) == 0
display(
    Markdown(
        f"At one place: mean ${sympy.latex(sympy.expand(mean))}$, variance ${sympy.latex(sympy.expand(variance))}$."
    )
)

# %% [markdown]
# A simulation agrees, and shows what it means for choosing: how often does a region that is truly *different* come out nearer than one that is the *same*?
# Here the true difference is as large as the noise at every place. Read the last column: judged by one pixel, the choice is hardly better than a
# coin's toss; judged by 49, it is nearly always right.

# %%
sigma_, delta_, draws = 0.2, 0.2, 20_000


def difference_of_noises(n):
    return sigma_ * (rng.standard_normal((draws, n)) - rng.standard_normal((draws, n)))


lines = []
for n in (1, 9, 25, 49, 81):
    first, second = (difference_of_noises(n) for _ in range(2))
    same, different = (first**2).mean(axis=1), ((delta_ + second) ** 2).mean(axis=1)
    relative = same.std() / same.mean()
    assert abs(same.mean() / (2 * sigma_**2) - 1) < 5 * np.sqrt(2 / n / draws)
    assert abs(different.mean() / (delta_**2 + 2 * sigma_**2) - 1) < 5 * np.sqrt(2 / n / draws)
    assert abs(relative / np.sqrt(2 / n) - 1) < 0.05
    lines.append([n, relative, np.sqrt(2 / n), 100 * (different < same).mean()])
columns = [
    "pixels in a region",
    "relative spread, simulated",
    "sqrt(2 / n)",
    "wrong one nearer, %",
]
pd.DataFrame(lines, columns=columns).style.hide(axis="index").format(precision=3).format(
    "{:.1f}", subset=columns[3:]
)

# %% [markdown]
# :::{admonition} Our reading
# :class: ours
# The argument has a price and a limit, both in the paper's Table II(a). The price: a large region blurs *which* pixel is meant, and few regions of a
# picture match well at full size, so there is a best size (3×7×7 there; 3×9×9 and 7×7×7 are worse). The limit: in a deep
# network the features that are compared have already been averaged by many convolutions, so that much less noise is left to be
# averaged away. What holds for pixels must be tested for features; {doc}`rnl` does.
# :::
