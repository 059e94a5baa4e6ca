"""What CIFAR-10 allows as it is here: a small network that is trained fast, in torch.

In the manner of Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024: a first layer that whitens patches and
is not trained, three groups of two convolutions, batch normalisation with a trained bias alone, GELU, orthogonal moves
of the data left to flips that alternate and to translations, Nesterov's momentum, and answers for several views.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from _gpu import Setting
from torch import nn
from torch.nn import functional

__all__ = ["ceiling"]

SEEDS = 3
MEAN, DEVIATION = 120.7, 63.0
"""Of the pixels, about; the whitening does the rest."""


@dataclass(frozen=True)
class Terms:
    """How a network is trained; rates are those of the record, a step of 1024 images."""

    widths: tuple[int, int, int] = (64, 256, 256)
    epochs: float = 9.9
    batch: int = 1024
    rate: float = 11.5
    momentum: float = 0.85
    decay: float = 0.0153
    bias_rate: float = 64.0
    whitened_for: float = 3.0
    """Epochs after which the bias of the first layer is not trained any more."""
    smoothing: float = 0.2
    move: int = 2


@dataclass(frozen=True)
class Images:
    """Images on the device (n, 3, 32, 32), and their labels (n,)."""

    x: torch.Tensor
    labels: torch.Tensor


def ceiling(setting: Setting) -> None:
    """Train with some seeds, and score each on the test part.

    Args:
        setting: Where, and until when.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not setting.tiny:
        raise SystemExit("torch sees no GPU here.")
    torch.backends.cudnn.benchmark = True
    terms = Terms(widths=(8, 16, 16), epochs=1.0, batch=32) if setting.tiny else Terms()
    train, test = (_images(setting, part, device, 64 if setting.tiny else None) for part in ("train", "test"))
    scores, longest = [], 0.0
    for seed in range(SEEDS):
        if longest > setting.left():
            setting.note(f"There was time for {seed} seeds.")
            break
        began = time.monotonic()
        torch.manual_seed(seed)
        scores.append(_accuracy(_trained(train, terms), test))
        longest = time.monotonic() - began
        setting.row(f"seed {seed}", test_accuracy=scores[-1], seconds=longest)
        spread = statistics.stdev(scores) if len(scores) > 1 else None
        setting.row("mean", test_accuracy=statistics.mean(scores), deviation=spread, seeds=len(scores))


def _images(setting: Setting, part: str, device: torch.device, most: int | None) -> Images:
    with np.load(setting.data / "cifar10.npz") as arrays:
        x, labels = arrays[f"x_{part}"][:most], arrays[f"y_{part}"].reshape(-1)[:most]
    given = torch.from_numpy(x).to(device).permute(0, 3, 1, 2).float().sub_(MEAN).div_(DEVIATION)
    return Images(given.contiguous(memory_format=torch.channels_last), torch.from_numpy(labels).to(device).long())


def _normalised(width: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(width, momentum=0.4, eps=1e-12)
    layer.weight.requires_grad = False
    return layer


def _group(before: int, width: int) -> nn.Sequential:
    first, second = (nn.Conv2d(size, width, 3, padding="same", bias=False) for size in (before, width))
    for convolution in (first, second):
        nn.init.dirac_(convolution.weight.data[: convolution.in_channels])
    middle = (nn.MaxPool2d(2), _normalised(width), nn.GELU())
    return nn.Sequential(first, *middle, second, _normalised(width), nn.GELU())


class Network(nn.Module):
    """From images to ten numbers.

    Args:
        train: Images that say what the first layer is.
        terms: How wide it is.
    """

    def __init__(self, train: Images, terms: Terms) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad = False
        self.whiten.weight.data[:] = _whitening(train.x[:5000])
        widths = (24, *terms.widths)
        self.body = nn.Sequential(nn.GELU(), *(_group(*pair) for pair in pairwise(widths)), nn.MaxPool2d(3))
        self.head = nn.Linear(widths[-1], 10, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Numbers that say how likely each class is.

        Args:
            x: Images (n, 3, 32, 32).
        """
        return self.head(self.body(self.whiten(x)).flatten(1)) / 9  # type: ignore[no-any-return]  # torch says Any


def _whitening(x: torch.Tensor) -> torch.Tensor:
    """Filters of the patches of two by two pixels, each of variance one, and their negatives (24, 3, 2, 2)."""
    patches = x.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T).cpu())
    filters = (vectors.T / (values[:, None] + 5e-4).sqrt()).reshape(12, 3, 2, 2)
    return torch.cat([filters, -filters])


def _trained(train: Images, terms: Terms) -> Network:
    network = Network(train, terms).to(train.x.device, memory_format=torch.channels_last)
    whole = 1024 * (1 + 1 / (1 - terms.momentum))  # what a rate of one is for the sum over a batch
    rate, decay = terms.rate / whole, terms.decay * terms.batch / whole
    biases = [each for name, each in network.named_parameters() if "bias" in name]
    others = [each for name, each in network.named_parameters() if "bias" not in name and each.requires_grad]
    groups = [
        {"params": biases, "lr": rate * terms.bias_rate, "weight_decay": decay / (rate * terms.bias_rate)},
        {"params": others, "lr": rate, "weight_decay": decay / rate},
    ]
    optimizer = torch.optim.SGD(groups, momentum=terms.momentum, nesterov=True)
    an_epoch = max(len(train.x) // terms.batch, 1)
    steps = max(round(terms.epochs * an_epoch), 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: float(np.interp(step / steps, [0, 0.23, 1], [0.2, 1, 0.07]))
    )
    for step, (x, labels) in zip(range(steps), _batches(train, terms), strict=False):
        network.whiten.bias.requires_grad_(step < terms.whitened_for * an_epoch)
        with torch.autocast(x.device.type, torch.bfloat16):
            answers = network(x)
        loss = functional.cross_entropy(answers.float(), labels, label_smoothing=terms.smoothing, reduction="sum")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return network


def _batches(train: Images, terms: Terms) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches without end; an image that was mirrored in one epoch is not in the next."""
    count, side = len(train.x), train.x.shape[-1]
    padded = functional.pad(train.x, (terms.move,) * 4, mode="reflect")
    mirrored = torch.rand(count, device=train.x.device) < 0.5
    ways = 2 * terms.move + 1
    while True:
        places = torch.randint(ways, (count, 2), device=train.x.device)
        moved = torch.empty_like(train.x)
        for row in range(ways):
            for column in range(ways):
                here = (places == torch.tensor([row, column], device=places.device)).all(dim=1)
                moved[here] = padded[here, :, row : row + side, column : column + side]
        seen = torch.where(mirrored[:, None, None, None], moved.flip(-1), moved)
        seen = seen.contiguous(memory_format=torch.channels_last)
        mirrored = ~mirrored
        order = torch.randperm(count, device=train.x.device)
        for chosen in order.split(terms.batch)[: max(count // terms.batch, 1)]:
            yield seen[chosen], train.labels[chosen]


def _accuracy(network: Network, test: Images) -> float:
    """The share of right answers, each of the mean over the image, two moved by a pixel, and their mirror images."""
    network.eval()
    right = 0
    side = test.x.shape[-1]
    with torch.inference_mode(), torch.autocast(test.x.device.type, torch.bfloat16):
        for x, labels in zip(test.x.split(2000), test.labels.split(2000), strict=True):
            padded = functional.pad(x, (1,) * 4, mode="reflect")
            views = ((x, 0.5), (padded[:, :, :side, :side], 0.25), (padded[:, :, 2:, 2:], 0.25))
            answers = sum(share * (network(view).float() + network(view.flip(-1)).float()) for view, share in views)
            right += int((torch.as_tensor(answers).argmax(dim=1) == labels).sum())
    return right / len(test.x)
