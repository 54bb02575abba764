"""The networks of Table 1 that are small enough to be trained here, as torch modules."""

from __future__ import annotations

from torch import nn

__all__ = ["fcae", "lenet5", "lenet300"]


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
    """A fully convolutional autoencoder of 76,429 weights (305.7 kB): images (n, 3, 32, 32) from 0 to 1, and the same
    out of 12 x 8 x 8 numbers. The paper gives the size of its FCAE (304.72 KB) and nothing else.
    """
    network = nn.Sequential()
    network.add_module("encode1", nn.Conv2d(3, 32, 4, stride=2, padding=1))
    network.add_module("relu1", nn.ReLU())
    network.add_module("encode2", nn.Conv2d(32, 59, 4, stride=2, padding=1))
    network.add_module("relu2", nn.ReLU())
    network.add_module("encode3", nn.Conv2d(59, 12, 3, padding=1))
    network.add_module("decode1", nn.Conv2d(12, 59, 3, padding=1))
    network.add_module("relu3", nn.ReLU())
    network.add_module("decode2", nn.ConvTranspose2d(59, 32, 4, stride=2, padding=1))
    network.add_module("relu4", nn.ReLU())
    network.add_module("decode3", nn.ConvTranspose2d(32, 3, 4, stride=2, padding=1))
    return network
