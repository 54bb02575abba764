"""The networks of Table 1 as torch modules."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

__all__ = ["fcae", "lenet5", "lenet300", "mobilenet", "resnet20", "small_vgg16"]


def lenet300() -> nn.Module:
    """LeNet-300-100 of 266,610 weights: images (n, 1, 28, 28) from 0 to 1, ten outputs."""
    network = nn.Sequential()
    network.add_module("flatten", nn.Flatten())
    for number, (inputs, outputs) in enumerate([(784, 300), (300, 100), (100, 10)], 1):
        if number > 1:
            network.add_module(f"relu{number}", nn.ReLU())
        network.add_module(f"fc{number}", nn.Linear(inputs, outputs))
    return network


def lenet5() -> nn.Module:
    """LeNet5 as Caffe has it, of 431,080 weights (1,722 KB): images (n, 1, 28, 28) from 0 to 1, ten outputs."""
    network = nn.Sequential()
    network.add_module("conv1", nn.Conv2d(1, 20, 5))
    network.add_module("pool1", nn.MaxPool2d(2))
    network.add_module("conv2", nn.Conv2d(20, 50, 5))
    network.add_module("pool2", nn.MaxPool2d(2))
    network.add_module("flatten", nn.Flatten())
    network.add_module("fc1", nn.Linear(800, 500))
    network.add_module("relu", nn.ReLU())
    network.add_module("fc2", nn.Linear(500, 10))
    return network


def fcae() -> nn.Module:
    """A fully convolutional autoencoder of 75,721 weights (302.9 kB): images (n, 3, 32, 32) from 0 to 1, and the same
    out of 6 x 8 x 8 numbers. The paper gives the size of its FCAE (304.72 KB) and its quality (30.14 dB), nothing else.
    """
    network = nn.Sequential()
    network.add_module("encode1", nn.Conv2d(3, 32, 4, stride=2, padding=1))
    network.add_module("relu1", nn.ReLU())
    network.add_module("encode2", nn.Conv2d(32, 64, 4, stride=2, padding=1))
    network.add_module("relu2", nn.ReLU())
    network.add_module("encode3", nn.Conv2d(64, 6, 3, padding=1))
    network.add_module("decode1", nn.Conv2d(6, 64, 3, padding=1))
    network.add_module("relu3", nn.ReLU())
    network.add_module("decode2", nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1))
    network.add_module("relu4", nn.ReLU())
    network.add_module("decode3", nn.ConvTranspose2d(32, 3, 4, stride=2, padding=1))
    return network


def small_vgg16() -> nn.Module:
    """VGG16 for images (n, 3, 32, 32), with normalisation: 14,995,146 weights (59.98 MB), ten outputs."""
    network, inputs = nn.Sequential(), 3
    for block, (count, outputs) in enumerate([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)], 1):
        for number in range(1, count + 1):
            network.add_module(f"conv{block}_{number}", nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))
            network.add_module(f"norm{block}_{number}", nn.BatchNorm2d(outputs))
            network.add_module(f"relu{block}_{number}", nn.ReLU())
            inputs = outputs
        network.add_module(f"pool{block}", nn.MaxPool2d(2))
    network.add_module("flatten", nn.Flatten())
    network.add_module("fc1", nn.Linear(512, 512))
    network.add_module("relu", nn.ReLU())
    network.add_module("fc2", nn.Linear(512, 10))
    return network


def mobilenet(width: float = 0.75) -> nn.Module:
    """MobileNet-v1 for images (n, 3, 224, 224) from -1 to 1, 1,000 outputs: 2,601,976 weights at width 0.75."""
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    outputs = [round(width * each) for each in (32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)]
    network = nn.Sequential()

    def layer(name: str, convolution: nn.Conv2d) -> None:
        if convolution.stride[0] == 2:  # TensorFlow pads an even size at its end alone
            network.add_module(f"{name}_pad", nn.ZeroPad2d((0, 1, 0, 1)))
        network.add_module(name, convolution)
        network.add_module(f"{name}_bn", nn.BatchNorm2d(convolution.out_channels, eps=1e-3))
        network.add_module(f"{name}_relu", nn.ReLU6())

    layer("conv1", nn.Conv2d(3, outputs[0], 3, 2, bias=False))
    for number, (stride, before, after) in enumerate(zip(strides, outputs[:-1], outputs[1:], strict=True), 1):
        layer(f"conv_dw_{number}", nn.Conv2d(before, before, 3, stride, 2 - stride, groups=before, bias=False))
        layer(f"conv_pw_{number}", nn.Conv2d(before, after, 1, bias=False))
    network.add_module("pool", nn.AdaptiveAvgPool2d(1))
    network.add_module("conv_preds", nn.Conv2d(outputs[-1], 1000, 1))
    network.add_module("flatten", nn.Flatten())
    return network


class _Block(nn.Module):
    """Two convolutions and a shortcut without weights: every second place, and zeros for the new channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self._stride = outputs // inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, self._stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        found = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(inputs)))))
        shortcut = inputs[:, :, :: self._stride, :: self._stride]
        missing = (found.shape[1] - shortcut.shape[1]) // 2
        return functional.relu(found + functional.pad(shortcut, (0, 0, 0, 0, missing, missing)))


def resnet20() -> nn.Module:
    """ResNet-20 (He et al. 2015, section 4.2) of 271,098 weights: normalised images (n, 3, 32, 32), ten outputs."""
    network = nn.Sequential()
    network.add_module("conv1", nn.Conv2d(3, 16, 3, 1, 1, bias=False))
    network.add_module("bn1", nn.BatchNorm2d(16))
    network.add_module("relu", nn.ReLU())
    for number, (inputs, outputs) in enumerate([(16, 16), (16, 32), (32, 64)], 1):
        network.add_module(
            f"layer{number}", nn.Sequential(_Block(inputs, outputs), *(_Block(outputs, outputs) for _ in range(2)))
        )
    network.add_module("pool", nn.AdaptiveAvgPool2d(1))
    network.add_module("flatten", nn.Flatten())
    network.add_module("linear", nn.Linear(64, 10))
    return network
