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
# The authors' slides tell RNL's story with a noisy photograph: blurring it removes noise and detail
# alike; the non-local mean {cite}`buades2005nonlocal` averages only what looks alike, wherever it
# lies; and what "looks alike" means is better judged by a region than by a single pixel. This page
# runs that story, measures it, and then derives why it is true. It is a companion of {doc}`rnl`,
# without any network.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sympy

from notebooks.kit.drawings import say
from vidattn import figures

figures.use_style()
SIZE = 64
rng = np.random.default_rng(7)

# %% [markdown]
# ## A scene that repeats itself
#
# The picture is drawn by code, so that the truth is known: two fields of stripes, two of checks and
# some rings, each kind in places far apart. A local average can use only what is near; a non-local
# one can use the other copy.

# %%
rows, columns = np.mgrid[:SIZE, :SIZE].astype(float)
scene = 0.35 + 0.2 * rows / SIZE


def paint(value, top, left, size=22):
    inside = (slice(top, top + size), slice(left, left + size))
    scene[inside] = value[inside]


stripes = 0.5 + 0.35 * np.sign(np.sin((rows + columns) * np.pi / 4))
checks = 0.5 + 0.3 * np.sign(np.sin(rows * np.pi / 3) * np.sin(columns * np.pi / 3))
paint(stripes, 2, 2)
paint(stripes, 40, 40)
paint(checks, 2, 40)
paint(checks, 40, 2)
for top, left in ((32, 12), (32, 32), (12, 32), (32, 52), (53, 32)):
    away = np.hypot(rows - top, columns - left)
    scene[(away > 2.5) & (away < 5.5)] = 0.9

# %% [markdown]
# ## Five estimates of the same picture
#
# Each estimate is a weighted sum over pixels, $\hat{x}_i = \sum_j w_{ij} x_j$, and they differ in
# $w$ alone:
#
# - **average**: equal weights in the $9 \times 9$ window around $i$, zero elsewhere;
# - **non-local mean of pixels**: $w_{ij} \propto e^{-D_{ij} / h^2}$, $D_{ij} = (x_i - x_j)^2$, over
#   the *whole* picture;
# - **non-local mean of regions**: the same, with $D_{ij}$ the mean squared difference of the
#   regions around $i$ and $j$, pixel by pixel, of $3 \times 3$ to $7 \times 7$ pixels;
# - **non-local mean of regions' means**: the same, with $D_{ij} = (\bar{x}_i - \bar{x}_j)^2$, the
#   squared difference of the two regions' mean values.
#
# The third is what denoising does {cite}`buades2005nonlocal`. It is *not* what
# {ref}`(2) <rnl-eq-2>` makes of {ref}`(1) <rnl-eq-1>`: RNL first sums each region up to one number
# a channel, {ref}`(3) <rnl-eq-3>`, and compares the sums. On a picture of one channel, with equal
# weights $\mathbf{u}_k$, that is the fourth. Both compare regions; only the third sees *where* in a
# region two of them differ. (Distance and inner product say the same for vectors of equal length:
# $\|\mathbf{r}_i - \mathbf{r}_j\|^2 = \|\mathbf{r}_i\|^2 + \|\mathbf{r}_j\|^2 - 2\,
# \mathbf{r}_i^\top \mathbf{r}_j$.)
#
# Every non-local method gets the bandwidth $h$, of those tried, that serves it best *against the
# clean picture*, at each noise level. Nobody who has only the noisy picture can choose so well; it
# treats the methods alike. What is tried is in proportion to the noise of what is compared:
# $\sigma$ for pixels, $\sigma / \sqrt{n}$ for means of $n$ pixels.


# %%
def windows(image, size):
    padded = np.pad(image, size // 2, mode="reflect")
    seen = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
    return seen.reshape(SIZE**2, -1)


def means(image, size):
    return windows(image, size).mean(axis=1, keepdims=True)


def weights(r, bandwidth):
    """w_ij from the mean squared difference of rows i and j of r: (N, n) -> (N, N)."""
    r = r.astype(np.float32) - np.float32(r.mean())
    squares = (r**2).sum(axis=1)
    w = squares[:, None] + squares - 2 * r @ r.T
    w *= -1 / (r.shape[1] * bandwidth**2)
    np.exp(np.minimum(w, 0, out=w), out=w)
    w /= w.sum(axis=1, keepdims=True)
    return w


def psnr(image):
    """Peak signal-to-noise ratio against the clean scene, in decibels; the peak is
    1.
    """
    return -10 * np.log10(np.mean((image - scene) ** 2))


def best(image, r, noise):
    """The estimate, and its bandwidth, that comes nearest to the clean scene."""
    tried = []
    for factor in (0.15, 0.3, 0.6, 0.8, 1.0, 1.5, 2.2, 3.2):
        estimate = weights(r, factor * noise) @ image.ravel().astype(np.float32)
        tried.append((estimate.reshape(SIZE, SIZE), factor * noise))
    return max(tried, key=lambda pair: psnr(pair[0]))


levels = (0.05, 0.1, 0.2, 0.3)
estimates, bandwidths = {}, {}
for noise in levels:
    noisy = scene + noise * rng.standard_normal(scene.shape)
    average = windows(noisy, 9).mean(axis=1).reshape(SIZE, SIZE)
    estimates[noise] = {"noisy": noisy, "average 9 × 9": average}
    compared = {"non-local, pixels": (windows(noisy, 1), noise)}
    for n in (3, 5, 7):
        compared[f"non-local, {n} × {n}"] = windows(noisy, n), noise
    for n in (3, 7):
        compared[f"non-local, means of {n} × {n}"] = means(noisy, n), noise / n
    for name, (r, of_the_noise) in compared.items():
        estimates[noise][name], bandwidths[noise, name] = best(noisy, r, of_the_noise)

# %% [markdown]
# Look at the stripes. The average wipes them out; the pixels' mean keeps them but leaves speckle,
# since a pixel that noise made brighter finds company among bright pixels everywhere; the regions'
# mean is cleaner. Where does it take its pixels from? Below the picture stands the share of the
# weight that goes to the copy in the opposite corner.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The slides' story at noise 0.1: the scene, the scene with noise, and three estimates of it. The last two look beyond the neighbourhood, and the last one compares more than single pixels.", "name": "fig-slides"}, "image": {"alt": "Five grey pictures of stripes, checks and rings. The second is grainy. In the third, the 9 by 9 average, the stripes have vanished. In the fourth, the pixel-wise non-local mean, they are there but speckled. In the fifth, the region-wise one, they are clean."}}
shown = ["noisy", "average 9 × 9", "non-local, pixels", "non-local, 3 × 3"]
pictures = {"scene": scene, **{name: estimates[0.1][name] for name in shown}}
fig, axes = plt.subplots(1, 5, figsize=(figures.WIDTH, 1.9), layout="constrained")
for axis, (name, image) in zip(axes, pictures.items(), strict=True):
    axis.imshow(image, cmap="gray", vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[])
    axis.set_xlabel(name, fontsize=8)
    axis.spines[:].set_visible(False)
plt.show()

# %% tags=["hide-input"]
own, copy = np.zeros((2, SIZE, SIZE), dtype=bool)
own[5:21, 5:21] = True  # inside of the upper left field: its 7 × 7 regions are whole
copy[40:62, 40:62] = True
share = {}
for size in (1, 3, 7):
    name = "non-local, pixels" if size == 1 else f"non-local, {size} × {size}"
    w = weights(windows(estimates[0.1]["noisy"], size), bandwidths[0.1, name])
    share[size] = w[np.ix_(own.ravel(), copy.ravel())].sum(axis=1).mean()
assert share[3] > 2 * share[1]
assert share[7] < 1.5 * copy.mean()
say(
    "Weight of the upper left stripes on the lower right ones, at noise 0.1: "
    f"{share[1]:.0%} by pixels, {share[3]:.0%} by 3 × 3 regions, {share[7]:.0%} by 7 × "
    f"7 regions; equal weights would give {copy.mean():.0%}."
)

# %% [markdown]
# One picture may flatter. Here is the error of all of them at growing noise. Pixel by pixel, even a
# $3 \times 3$ region beats the single pixel at every level. Larger ones do not win more here; a
# likely reason is that the fields are small, so that a large region has few equals (its share above
# is hardly more than equal weights'). There is a best size, and it is the picture's.
#
# The *means* of regions tell another story. They are far less noisy than pixels, and still lose to
# the single pixel at low noise, by much: there they are even worse than the noisy picture itself,
# since places of the same mean and different detail count as the same. Only where noise is
# strongest does averaging before comparing beat the pixel. Comparing first and averaging then beats
# both at every level.

# %%
table = pd.DataFrame(estimates).map(psnr).rename(columns=str)
table.columns.name = "PSNR, dB, at noise"


def gains(name, other="non-local, pixels"):
    return table.loc[name] - table.loc[other]


region, averaged = "non-local, 3 × 3", "non-local, means of 3 × 3"
assert (gains(region) > 0).all() and (gains(region, averaged) > 0).all()
for larger in ("non-local, 5 × 5", "non-local, 7 × 7"):
    assert (gains(larger, region) < 0).all()
assert (gains(averaged, "noisy")[:2] < 0).all()
assert gains(averaged)["0.05"] < -5 and gains(averaged)["0.3"] > 0
for title, name in {"3 × 3 regions": region, "Means of 3 × 3": averaged}.items():
    listed = ", ".join(f"{g:+.1f} dB at noise {n}" for n, g in gains(name).items())
    say(f"{title} against pixels: {listed}.")
table.style.format("{:.1f}")

# %% [markdown]
# ## Why a region's similarity beats a pixel's
#
# Take two regions of $n$ pixels, the true pictures differing by $\delta_k$ at place $k$, each seen
# with its own noise of standard deviation $\sigma$. The squared difference at a place is
# $(\delta_k + \varepsilon_k - \varepsilon'_k)^2$, where $\varepsilon_k - \varepsilon'_k$ has
# variance $2\sigma^2$. The cell below integrates: its mean is $\delta_k^2 + 2\sigma^2$, its
# variance $8\sigma^4 + 8\sigma^2\delta_k^2$. The distance is the mean over $n$ independent places:
#
# $$
# \mathbb{E}\, D = \overline{\delta^2} + 2\sigma^2, \qquad \operatorname{Var} D = \frac{8\sigma^4 + 8\sigma^2\, \overline{\delta^2}}{n} .
# $$ (rnl-slides-distance)
#
# So noise lifts all distances alike, by $2\sigma^2$, which does no harm after normalising. What
# misleads is the *spread* around the mean. For two regions that are truly the same it is
# $\sqrt{2/n}$ of the mean: more than the whole for a single pixel. It shrinks as $1/\sqrt{n}$.
#
# The difference of two regions' means is another thing: it is
# $\bar{\delta} + \bar{\varepsilon} - \bar{\varepsilon}'$, whose noise has variance $2\sigma^2 / n$,
# so that
#
# $$
# \mathbb{E}\, (\bar{x}_i - \bar{x}_j)^2 = \bar{\delta}^2 + \frac{2\sigma^2}{n} .
# $$ (rnl-slides-means)
#
# The noise falls faster, and $\overline{\delta^2}$ has become $\bar{\delta}^2$: differences of
# opposite sign cancel before they are compared.

# %%
delta, z = sympy.symbols("delta z", real=True)
sigma = sympy.Symbol("sigma", positive=True)
spread = sympy.sqrt(2) * sigma  # of the difference of two noises
normal = sympy.exp(-(z**2) / (2 * spread**2)) / (spread * sympy.sqrt(2 * sympy.pi))


def expected(value):
    whole = (z, -sympy.oo, sympy.oo)
    return sympy.simplify(sympy.integrate(sympy.expand(value) * normal, whole))


mean = expected((delta + z) ** 2)
variance = sympy.factor(expected((delta + z) ** 4) - mean**2)
assert sympy.simplify(mean - delta**2 - 2 * sigma**2) == 0
assert sympy.simplify(variance - 8 * sigma**4 - 8 * sigma**2 * delta**2) == 0
mean, variance = (sympy.latex(sympy.expand(value)) for value in (mean, variance))
say(f"At one place: mean ${mean}$, variance ${variance}$.")

# %% [markdown]
# A simulation agrees, and shows what it means for choosing: how often does a region that is truly
# *different* come out nearer than one that is the *same*? Here the true difference is as large as
# the noise at every place. Judged by one pixel, the wrong one is nearer about two times in five; by
# 49, pixel by pixel, fewer than one in ten. The last two columns judge by means. When the
# difference has the same sign everywhere, they are the better judge by far; when its sign
# alternates, as between stripes and shifted stripes, they toss a coin.

# %%
sigma_, delta_, draws = 0.2, 0.2, 20_000


def difference_of_noises(n):
    return sigma_ * (rng.standard_normal((draws, n)) - rng.standard_normal((draws, n)))


def wrong(same, different):
    return 100 * (different < same).mean()


lines = []
for n in (1, 9, 25, 49, 81):
    first, second = (difference_of_noises(n) for _ in range(2))
    same, different = (first**2).mean(axis=1), ((delta_ + second) ** 2).mean(axis=1)
    relative = same.std() / same.mean()
    assert abs(same.mean() / (2 * sigma_**2) - 1) < 5 * np.sqrt(2 / n / draws)
    farther = different.mean() / (delta_**2 + 2 * sigma_**2)
    assert abs(farther - 1) < 5 * np.sqrt(2 / n / draws)
    assert abs(relative / np.sqrt(2 / n) - 1) < 0.05
    same_mean = first.mean(axis=1) ** 2
    assert abs(same_mean.mean() / (2 * sigma_**2 / n) - 1) < 5 * np.sqrt(2 / draws)
    alternating = delta_ * (-1) ** np.arange(n)
    apart = ((d + second).mean(axis=1) ** 2 for d in (delta_, alternating))
    by_means = [wrong(same_mean, squares) for squares in apart]
    lines.append([n, relative, np.sqrt(2 / n), wrong(same, different), *by_means])
columns = ["pixels in a region", "relative spread, simulated", "sqrt(2 / n)"]
columns += ["wrong one nearer, %", "by means, one sign, %"]
columns.append("by means, signs alternate, %")
found = pd.DataFrame(lines, columns=columns).set_index(columns[0])
assert 35 < found.loc[1, columns[3]] < 45 and found.loc[49, columns[3]] < 10
assert (found.loc[9:, columns[4]] < found.loc[9:, columns[3]] / 2).all()
assert (found.loc[9:, columns[5]] > 48).all()
found.reset_index().style.hide(axis="index").format(precision=3).format(
    "{:.1f}", subset=columns[3:]
)

# %% [markdown]
# :::{admonition} Our reading
# :class: ours
# The picture argues for comparing regions, and RNL compares sums of regions. Between the two stand
# RNL's many channels and its learned weights $\mathbf{u}_k$: a sum whose weights differ in sign
# answers to a pattern where a plain mean is blind, and many channels can answer to many patterns.
# That this makes up for the loss is our hope and not shown here; pooling by a plain mean is one of
# the paper's own variants, and the weakest of its Table II(c).
#
# The argument has a price, too, and a limit. A large region blurs *which* pixel is meant. The price
# shows in Table II(a)'s large kernels: 3×7×7 is best there, 3×9×9 and 7×7×7 are worse. The limit is
# our conjecture: in a deep network the features that are compared have already been averaged by
# many convolutions, so that much less noise is left to be averaged away. What holds for pixels must
# be tested for features; {doc}`rnl` does.
# :::
