"""GloRe: positions are gathered into the nodes of a small graph and handed back."""

from einops import einsum
from torch import Tensor, nn

from vidattn.blocks._parts import reduced_width, start_as_identity


class GloRe(nn.Module):
    """Add to every position what the nodes of a graph say that it belongs to.

        B = theta(x),   V = sum over positions of B phi(x)    N nodes of S states
        Z = W_g ReLU(V + A_g V)                               one graph convolution
        z = BN(W_z B^T Z) + x                                 the same B hands it back

    A_g relates the nodes, W_g the states. Here theta, phi, A_g, W_g and W_z are called
    `nodes`, `v`, `adjacency`, `update` and `out`. The normalisation starts at zero,
    weight and bias: the block starts as the identity.

    Args:
        channels: C of the input.
        reduction: N = C // reduction nodes, and S = 2 N states.

    Shape:
        (B, C, T, H, W) -> (B, C, T, H, W)

    Raises:
        UserError: The reduction is not between 1 and C.

    Source:
        Chen, Rohrbach, Yan, Yan, Feng, Kalantidis: Graph-Based Global Reasoning
        Networks, CVPR 2019, section 3, positions taken over T, too. From the authors'
        code (facebookresearch/GloRe): twice as many states as nodes, plus A_g where the
        paper has I - A_g, the ReLU between the two, biases in theta, phi and A_g alone,
        B as it is, and a batch normalisation with the comment that it should start at
        zero. Ours: the reduction of 4 and torch's epsilon in the normalisation.
        Convolutions start as torch starts them.
    """

    def __init__(self, channels: int, *, reduction: int = 4) -> None:
        super().__init__()
        nodes = reduced_width(channels, reduction)
        states = 2 * nodes
        self.nodes = nn.Conv3d(channels, nodes, 1)
        self.v = nn.Conv3d(channels, states, 1)
        self.adjacency = nn.Conv1d(nodes, nodes, 1)
        self.update = nn.Linear(states, states, bias=False)
        self.out = nn.Conv3d(states, channels, 1, bias=False)
        self.bn = nn.BatchNorm3d(channels)
        start_as_identity(self.bn)

    def forward(self, x: Tensor) -> Tensor:
        b = self.nodes(x)  # (B, N, T, H, W)
        v = einsum(b, self.v(x), "b n t h w, b s t h w -> b n s")
        z = self.update((v + self.adjacency(v)).relu())  # (B, N, S)
        y = einsum(b, z, "b n t h w, b n s -> b s t h w").contiguous()
        return x + self.bn(self.out(y))  # (B, C, T, H, W)
