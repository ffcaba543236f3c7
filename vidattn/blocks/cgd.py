"""The compact global descriptor: a gate from the channels' means and maxima."""

import torch
from einops import rearrange, reduce
from torch import Tensor, nn


class CompactGlobalDescriptor(nn.Module):
    """Multiply every channel by 1 + tanh(...) of all channels' means and maxima.

        p = softmax over channels of mean(x)
        psi = tanh(p (w_0 . mean(x)) + b_0),   phi = tanh(p (w_1 . max(x)) + b_1)
        z = x (1 + tanh(psi (w_2 . phi) + b_2))

    A fresh block is near the identity, but not equal to it: p is about 1 / C, and the
    biases are zero.

    Args:
        channels: C of the input.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Source:
        He, Cheng, Chen, Hu, Wang, Cheng: Compact Global Descriptor for Neural Networks,
        2019 (arXiv 1907.09665). The formula, the biases and the start (Xavier, uniform)
        are those of the authors' repository (HolmesShuan/Compact-Global-Descriptor, its
        final scheme); mean and maximum are taken over T, too, which is ours. There it
        stands behind the first convolution of every residual block. PNL's Table 5 cites
        'CGD [48]', and our copy of its references ends before that. This paper is very
        likely meant: with such a block in each of its 16 residual blocks a ResNet-50 of
        1,000 classes has the printed 25.58M parameters.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        bound = (6 / (channels + 1)) ** 0.5  # Xavier's, for a vector from C to 1
        self.weight = nn.Parameter(torch.empty(3, channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(3, channels))

    def forward(self, x: Tensor) -> Tensor:
        mean, highest = x.mean(dim=(2, 3, 4)), reduce(x, "b c t h w -> b c", "max")
        p = mean.softmax(dim=-1)  # (B, C), as are the descriptors
        psi = self._descriptor(p, mean, 0)
        phi = self._descriptor(p, highest, 1)
        return x * (1 + rearrange(self._descriptor(psi, phi, 2), "b c -> b c 1 1 1"))

    def _descriptor(self, spread: Tensor, summary: Tensor, n: int) -> Tensor:
        """Return tanh(spread (w_n . summary) + b_n), (B, C)."""
        return (spread * (summary @ self.weight[n])[:, None] + self.bias[n]).tanh()
