"""hpsearch: declare a space of Keras image classifiers, search it, and get an answer you can trust."""

from hpsearch.blocks.augment import Augment
from hpsearch.blocks.backbones import (
    VGG16,
    EfficientNetV2B0,
    MobileNetV2,
    MobileNetV3Large,
    MobileNetV3Small,
    ResNet50,
)
from hpsearch.blocks.concat import Branch, Concat
from hpsearch.blocks.convnet import ConvNet, Stage, Stem, Whitening
from hpsearch.blocks.dense import Dense
from hpsearch.blocks.pretrained import Pretrained
from hpsearch.blocks.tiled import Tiled
from hpsearch.blocks.weights import L1, L1L2, L2, MaxNorm
from hpsearch.data import Arrays, ImageFolder, Named, Table
from hpsearch.domains import between, one_of, repeat, tied
from hpsearch.optimizers import SGD, Adam, AdamW, Muon, RMSprop
from hpsearch.phases import FineTune
from hpsearch.recipe import HyperModel, Model, Recipe, Training
from hpsearch.schedules import Cosine, OneCycle, Plateau, Triangular
from hpsearch.space import Space, at_most

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "SGD",
    "VGG16",
    "Adam",
    "AdamW",
    "Arrays",
    "Augment",
    "Branch",
    "Concat",
    "ConvNet",
    "Cosine",
    "Dense",
    "EfficientNetV2B0",
    "FineTune",
    "HyperModel",
    "ImageFolder",
    "MaxNorm",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "Model",
    "Muon",
    "Named",
    "OneCycle",
    "Plateau",
    "Pretrained",
    "RMSprop",
    "Recipe",
    "ResNet50",
    "Space",
    "Stage",
    "Stem",
    "Table",
    "Tiled",
    "Training",
    "Triangular",
    "Whitening",
    "at_most",
    "between",
    "one_of",
    "repeat",
    "tied",
]
__version__ = "0.1.0"
