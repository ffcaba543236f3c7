"""Squeeze and excitation: channels are weighted, or shifted, by the clip's mean."""

from einops import rearrange
from torch import Tensor, nn

from vidattn.blocks._parts import reduced_width, start_as_identity
from vidattn.errors import UserError


class SqueezeExcite(nn.Module):
    """Multiply every channel by a gate in (0, 1) that depends on all channels' means.

        s = sigmoid(W_2 ReLU(W_1 mean(x))),  z = s * x     the mean over T, H, W

    A fresh gate is about one half: unlike the additive kind this block does not start
    as the identity.

    Args:
        channels: C of the input.
        reduction: W_1 leads to C // reduction channels.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: The reduction is not between 1 and C.

    Source:
        Hu, Shen, Sun: Squeeze-and-Excitation Networks, CVPR 2018, Eqs. 2-4, the mean
        taken over T too. Without biases, which the authors found to serve ResNets
        better.
    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        width = reduced_width(channels, reduction)
        self.w_1 = nn.Linear(channels, width, bias=False)
        self.w_2 = nn.Linear(width, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        s = self.w_2(self.w_1(x.mean(dim=(2, 3, 4))).relu()).sigmoid()  # (B, C)
        return rearrange(s, "b c -> b c 1 1 1") * x


class AdditiveSqueezeExcite(nn.Module):
    """Add to every channel a number that depends on all channels' means.

        s' = mean(x)                           Eq. 10
        s = W_2 ReLU(BN(W_1 s'))               Eq. 11, no sigmoid
        v = x + s                              Eq. 12, s repeated over all positions

    W_2 starts at zero, weight and bias. The paper does not say so of this part, but
    wants its blocks to enter pre-trained networks 'without influencing the results'
    (section III-C); with W_2 = 0 the attention chain starts as the identity. W_2 has a
    bias, which the 35.95M of Table III asks for; W_1 has none, as the normalisation
    would remove it.

    Args:
        channels: C of the input.
        reduction: W_1 leads to C // reduction channels. Eq. 11 says 2; the parameters
            of Table III ask for 16.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: The reduction is not between 1 and C; or, in training, the batch is
            a single clip, over which the normalisation has no variance.

    Source:
        Huang, Bors: Region-based Non-local Operation for Video Classification, ICPR
        2020, section III-D.
    """

    def __init__(self, channels: int, *, reduction: int = 2) -> None:
        super().__init__()
        width = reduced_width(channels, reduction)
        self.w_1 = nn.Linear(channels, width, bias=False)
        self.bn = nn.BatchNorm1d(width)
        self.w_2 = nn.Linear(width, channels)
        start_as_identity(self.w_2)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.shape[0] < 2:
            raise UserError(
                "AdditiveSqueezeExcite normalises over the clips of a batch: in "
                "training it needs at least 2 of them, not 1"
            )
        s = self.w_2(self.bn(self.w_1(x.mean(dim=(2, 3, 4)))).relu())  # (B, C)
        return x + rearrange(s, "b c -> b c 1 1 1")
