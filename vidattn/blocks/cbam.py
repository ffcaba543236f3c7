"""CBAM: a gate for the channels, then a gate for the positions."""

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from vidattn.blocks._parts import check_kernel, reduced_width


class CBAM(nn.Module):
    """Multiply by a gate per channel, then by a gate per position.

        M_c = sigmoid(MLP(mean over positions) + MLP(max over positions))     Eq. 2
        x' = M_c * x
        M_s = sigmoid(conv([mean over channels of x', max over them]))        Eq. 3
        z = M_s * x'

    The MLP, W_1 ReLU(W_0 .), is shared by the two. Fresh gates are about one half each:
    the block does not start as the identity. From images to clips the channel gate
    looks at all frames at once; the position gate looks at each frame by itself (kernel
    1x7x7), which is the paper's 7x7 and leaves one frame's gate what it is for an
    image.

    Args:
        channels: C of the input.
        reduction: W_0 leads to C // reduction channels.
        kernel: Size (T, H, W) of the position gate's convolution, each odd.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: The reduction is not between 1 and C, or the kernel is not three odd
            numbers.

    Source:
        Woo, Park, Lee, Kweon: CBAM: Convolutional Block Attention Module, ECCV 2018,
        Eqs. 1-3. As those equations have it, the convolution has neither bias nor
        normalisation (the authors' code normalises); the MLP has biases.
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        kernel: tuple[int, int, int] = (1, 7, 7),
    ) -> None:
        super().__init__()
        width = reduced_width(channels, reduction)
        t, h, w = check_kernel("kernel", kernel)
        self.w_0 = nn.Linear(channels, width)
        self.w_1 = nn.Linear(width, channels)
        self.conv = nn.Conv3d(
            2, 1, (t, h, w), padding=(t // 2, h // 2, w // 2), bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        mean, highest = x.mean(dim=(2, 3, 4)), reduce(x, "b c t h w -> b c", "max")
        gate = self._mlp(mean) + self._mlp(highest)  # (B, C)
        x = rearrange(gate.sigmoid(), "b c -> b c 1 1 1") * x  # (B, C, T, H, W)
        summary = [x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)]
        return self.conv(torch.cat(summary, dim=1)).sigmoid() * x

    def _mlp(self, s: Tensor) -> Tensor:
        """Return W_1 ReLU(W_0 s), (B, C)."""
        return self.w_1(self.w_0(s).relu())
