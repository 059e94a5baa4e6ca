"""What is known about the named data sets without reading them: shapes, classes, values and file names."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FACTS", "Facts"]


@dataclass(frozen=True)
class Facts:
    """One named data set.

    Args:
        title: Its name as people write it.
        input_shape: Height, width and channels in pixels.
        class_names: The classes in the order of their labels.
        files: What a local copy is called, best first, relative to a data directory; empty when it comes with a
            package.
        put: The files to name when there is no local copy.
        white: The pixel value that means full brightness.
        validation: The share of the training images set aside for validation unless a space says otherwise.
        test: The share that is sealed as the test part where there is no official one.
        columns: The columns of numbers, where it is a table and not images.
    """

    title: str
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    files: tuple[str, ...] = ()
    put: str = ""
    white: float = 255.0
    validation: float = 0.1
    test: float | None = None
    columns: tuple[str, ...] = ()


_DIGITS = tuple("0123456789")

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# fmt: off
_CIFAR100 = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee",
    "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant",
    "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower",
    "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom",
    "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate",
    "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark",
    "shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower",
    "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor", "train", "trout", "tulip",
    "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
)
# fmt: on

_FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_MEASURED = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
_BREAST_CANCER = (
    *(f"mean {name}" for name in _MEASURED),
    *(f"{name} error" for name in _MEASURED),
    *(f"worst {name}" for name in _MEASURED),
)

FACTS = {
    # 1,797 images in all: a tenth would leave 14 images a class to judge a trial by, hence the larger share.
    "digits": Facts("digits", (8, 8, 1), _DIGITS, white=16.0, validation=0.2, test=0.2),
    "cifar10": Facts(
        "CIFAR-10",
        (32, 32, 3),
        _CIFAR10,
        (
            "cifar10.npz",
            "cifar-10-batches-py",
            "cifar-10-python.tar.gz",
            "cifar-10-batches-py-target/cifar-10-batches-py",  # where Keras 3 unpacks it
            "cifar-10-batches-py.tar.gz",  # what older versions of Keras call it
        ),
        put="cifar10.npz or the official cifar-10-python.tar.gz",
    ),
    "cifar100": Facts(
        "CIFAR-100",
        (32, 32, 3),
        _CIFAR100,
        (
            "cifar100.npz",
            "cifar-100-python",
            "cifar-100-python.tar.gz",
            "cifar-100-python-target/cifar-100-python",
        ),
        put="cifar100.npz or the official cifar-100-python.tar.gz",
    ),
    "mnist": Facts("MNIST", (28, 28, 1), _DIGITS, ("mnist.npz",), put="mnist.npz"),
    # The official files have the very names of MNIST's, so they are taken only from a folder that says which they are.
    "fashion_mnist": Facts(
        "Fashion-MNIST",
        (28, 28, 1),
        _FASHION,
        ("fashion_mnist.npz", "fashion-mnist", "fashion_mnist"),
        put="fashion_mnist.npz, or a folder fashion-mnist with the four official .gz files,",
    ),
    "breast_cancer": Facts(
        "The breast cancer table",
        (1, 1, len(_BREAST_CANCER)),
        ("malignant", "benign"),
        validation=0.2,
        test=0.2,
        columns=_BREAST_CANCER,
    ),
}
