"""ESRGAN's generator in PyTorch, written from the paper: the peer that ours is compared with."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

FAMILIES = {  # names of the published checkpoints where they differ from the attributes
    "esrgan": {
        "block": "RRDB_trunk.{}.RDB{}.conv{}",
        "conv_body": "trunk_conv",
        "conv_up1": "upconv1",
        "conv_up2": "upconv2",
        "conv_hr": "HRconv",
    },
    "basicsr": {"block": "body.{}.rdb{}.conv{}"},
}


class DenseBlock(nn.Module):
    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(features + k * growth, growth if k < 4 else features, 3, padding=1)
            for k in range(5)
        )

    def forward(self, x):
        known = [x]
        for conv in self.convs[:-1]:
            known.append(functional.leaky_relu(conv(torch.cat(known, 1)), 0.2))
        return x + 0.2 * self.convs[-1](torch.cat(known, 1))


class RRDBNet(nn.Module):
    """(N, C, H, W) in [0, 1] -> (N, C, H * scale, W * scale)."""

    def __init__(self, scale=4, channels=3, features=64, blocks=23, growth=32) -> None:
        super().__init__()
        self.unshuffle = 4 // scale
        self.conv_first = nn.Conv2d(channels * self.unshuffle**2, features, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.ModuleList(DenseBlock(features, growth) for _ in range(3)) for _ in range(blocks)
        )
        for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
            setattr(self, name, nn.Conv2d(features, features, 3, padding=1))
        self.conv_last = nn.Conv2d(features, channels, 3, padding=1)

    def forward(self, x):
        x = functional.pixel_unshuffle(x, self.unshuffle)
        x = trunk = self.conv_first(x)
        for block in self.blocks:
            shortcut = x
            for dense in block:
                x = dense(x)
            x = shortcut + 0.2 * x
        x = trunk + self.conv_body(x)
        for conv in (self.conv_up1, self.conv_up2):
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = functional.leaky_relu(conv(x), 0.2)
        return self.conv_last(functional.leaky_relu(self.conv_hr(x), 0.2))

    def published_state(self, family: str) -> dict[str, torch.Tensor]:
        """The weights under the keys of a published family: "esrgan" or "basicsr"."""
        names = FAMILIES[family]
        state = {}
        for key, value in self.state_dict().items():
            parts = key.split(".")
            if parts[0] == "blocks":
                block, dense, conv = int(parts[1]), int(parts[2]) + 1, int(parts[4]) + 1
                name = names["block"].format(block, dense, conv)
            else:
                name = names.get(parts[0], parts[0])
            state[f"{name}.{parts[-1]}"] = value
        return state
