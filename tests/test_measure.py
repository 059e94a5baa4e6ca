"""Networks measured before they are allocated: as large as Keras counts them, as costly as papers say, at no cost."""

import importlib.util
import json
import random
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from hpsearch import (
    SGD,
    VGG16,
    Adam,
    AdamW,
    ConvNet,
    Dense,
    FineTune,
    HyperModel,
    MobileNetV2,
    Model,
    Recipe,
    RMSprop,
    Stage,
    Training,
)
from hpsearch.errors import ModelError
from hpsearch.resolve import resolve
from hpsearch.spacefile import load_space
from hpsearch.training.build import UserCodeError, build, build_network, without_weights
from hpsearch.training.inputs import declared_inputs, image_inputs
from hpsearch.training.inspection import at_random, baseline_costs
from hpsearch.training.measure import measure, measure_network
from hpsearch.training.unallocated import without_a_trace

ROOT = Path(__file__).resolve().parents[1]
SPACES = [path for path in sorted((ROOT / "spaces").glob("*.py")) if path.name != "build_hp.py"]
DRAWS = 4
CIFAR = image_inputs((32, 32, 3), 10, 255.0)
IMAGENET = image_inputs((224, 224, 3), 1000, 255.0)


@pytest.fixture(autouse=True)
def forgotten_networks():
    yield
    keras.utils.clear_session()


def recipe(model, *, batch_size=32, optimizer=None):
    return Recipe(model=model, training=Training(epochs=1, batch_size=batch_size, optimizer=optimizer or Adam()))


def by_hand(network, shape=(32, 32, 3), **options):
    """The measures of a network of plain Keras."""
    return measure_network(
        network, recipe(Model(body=ConvNet(stages=[Stage(filters=1)])), **options), image_inputs(shape, 10, 1.0)
    )


def resident():
    return psutil.Process().memory_info().rss


class TestAgreement:
    """What is measured without weights is what is measured, and counted by Keras, with them."""

    @staticmethod
    def assert_agreement(said, inputs):
        if isinstance(said.training.fine_tune, FineTune):  # a network that was built is in one phase
            said = replace(said, training=replace(said.training, fine_tune=None))
        measured = measure(said, inputs)
        network = build_network(without_weights(said.model), inputs)
        assert measured == measure_network(network, said, inputs)
        assert measured.parameters == network.count_params()

    @pytest.mark.parametrize("path", SPACES, ids=lambda path: path.name)
    def test_on_draws_from_the_spaces(self, path):
        space = load_space(path)
        inputs = declared_inputs(space.declaration)
        draw = at_random(random.Random(1))
        fitted = 0
        for _ in range(50 * DRAWS):
            if fitted == DRAWS:
                break
            said = resolve(space.search, draw)
            try:
                measured = measure(said, inputs)
            except ModelError:
                continue
            fitted += 1
            if measured.parameters < 30_000_000:
                self.assert_agreement(said, inputs)
        assert fitted == DRAWS

    stages = st.lists(
        st.builds(
            Stage,
            filters=st.lists(st.integers(1, 5), min_size=1, max_size=2),
            kernel_size=st.sampled_from((1, 3)),
            strides=st.sampled_from((1, 2)),
            activation=st.sampled_from(("relu", "gelu", "tanh")),
            batchnorm=st.sampled_from((None, "before_activation", "after_activation", "once_per_stage")),
            pool=st.sampled_from((None, "max", "average")),
            dropout=st.sampled_from((0.0, 0.25)),
        ),
        min_size=1,
        max_size=2,
    )
    networks = st.builds(
        Model,
        body=st.builds(ConvNet, stages=stages, input_size=st.sampled_from((None, 24))),
        pooling=st.sampled_from(("flatten", "average", "max")),
        dense=st.lists(
            st.builds(Dense, units=st.integers(1, 9), batchnorm=st.sampled_from((None, "before_activation")))
        ),
    )

    @given(model=networks, batch_size=st.integers(1, 64), optimizer=st.sampled_from((Adam(), SGD(), SGD(momentum=0.9))))
    @settings(max_examples=25, deadline=None)
    def test_on_any_network(self, model, batch_size, optimizer):
        self.assert_agreement(
            recipe(model, batch_size=batch_size, optimizer=optimizer), image_inputs((16, 16, 2), 3, 1.0)
        )

    def test_pretrained_weights_are_not_asked_for(self, monkeypatch):
        monkeypatch.setattr(keras.utils, "get_file", None)
        backbone = MobileNetV2(weights="nowhere.h5", unfreeze_last=5)
        measured = measure(recipe(Model(body=backbone, pooling="average")), IMAGENET)
        assert measured.parameters == 2_257_984 + 1_281 * 1000 - 1_000 * 1 + 1_000

    def test_a_build_function_is_measured_as_it_is_built(self):
        def build_hp(hp):
            model = keras.Sequential([keras.Input((32, 32, 3)), layers.Flatten(), layers.Dense(10)])
            model.compile(keras.optimizers.SGD(momentum=0.9), "sparse_categorical_crossentropy")
            return model

        said = Recipe(model=HyperModel(build_hp), training=Training(epochs=1))
        built = build(said, CIFAR, lambda parameter: None)
        measured = measure_network(built.network, built.recipe, CIFAR)
        assert (measured.parameters, measured.flops) == (30_730, 2 * 30_720)
        with pytest.raises(TypeError, match="measure_network"):
            measure(said, CIFAR)


class TestNothingIsAllocated:
    HUGE = Model(
        body=ConvNet(stages=[Stage(filters=1_000_000)], batchnorm="before_activation", dropout=0.5),
        dense=[Dense(units=300_000, dropout=0.5, initializer="orthogonal", activation="gelu")],
    )

    def test_weights_and_activations_beyond_any_machine(self):
        measure(recipe(self.HUGE), CIFAR)  # what is loaded on the way counts for nothing
        before = resident()
        measured = measure(recipe(self.HUGE, batch_size=4096), CIFAR)
        assert measured.parameters > 10**13
        assert measured.memory > 10**14
        assert resident() - before < 20_000_000

    def test_nor_later_when_another_network_is_built(self):
        measure(recipe(self.HUGE), CIFAR)
        before = resident()
        with keras.StatelessScope():
            pass  # at its end Keras gives a value to every variable that it remembers without one
        network = build_network(Model(body=ConvNet(stages=[Stage(filters=2)])), CIFAR)
        network.predict_on_batch(np.zeros((1, 32, 32, 3)))
        assert resident() - before < 300_000_000

    def test_names_and_random_numbers_stay_as_they_were(self):
        @dataclass(frozen=True)
        class Unnamed:
            def __call__(self, x):
                return layers.Dropout(0.5)(layers.Conv2D(4, 3)(x))

        model = Model(body=Unnamed(), pooling="average")

        def built(measured):
            keras.utils.clear_session()
            keras.utils.set_random_seed(3)
            if measured:
                measure(recipe(model), CIFAR)
                measure(recipe(self.HUGE), CIFAR)
            network = build_network(model, CIFAR)
            return [layer.name for layer in network.layers], network.get_weights(), random.random()

        names, weights, drawn = built(measured=False)
        again, same, also_drawn = built(measured=True)
        assert again == names
        assert also_drawn == drawn
        for left, right in zip(weights, same, strict=True):
            np.testing.assert_array_equal(left, right)


class TestWhatDoesNotFit:
    def test_a_window_is_too_large(self):
        model = Model(body=ConvNet(stages=[Stage(filters=2)] * 7))
        with pytest.raises(ModelError) as measured:
            measure(recipe(model), CIFAR)
        with pytest.raises(ModelError) as built:
            build_network(model, CIFAR)
        assert str(measured.value) == str(built.value)
        assert str(measured.value).startswith("model.body.stages[5]")

    def test_a_block_of_ones_own_raises(self):
        @dataclass(frozen=True)
        class Broken:
            def __call__(self, x):
                raise OSError("no such file")

        with pytest.raises(UserCodeError, match="Broken raised OSError: no such file"):
            measure(recipe(Model(body=Broken())), CIFAR)

    def test_a_block_that_makes_a_variable_from_an_array_is_built_as_it_is(self):
        class Scaled(layers.Layer):
            def build(self, shape):
                self.scale = keras.Variable(np.ones(shape[-1]), name="scale")
                self.built = True

            def call(self, x):
                return x * self.scale

        @dataclass(frozen=True)
        class Scaling:
            def __call__(self, x):
                return Scaled()(x)

        measured = measure(recipe(Model(body=Scaling())), CIFAR)
        assert measured.parameters == 3 + (32 * 32 * 3 + 1) * 10


class TestOperations:
    """Two for each multiplication with its addition, in every layer with a kernel."""

    def test_of_vgg16_as_published(self):
        """Simonyan and Zisserman 2015: 138 million parameters; 15.5 billion multiply-adds at 224x224."""
        model = Model(body=VGG16(weights=None), dense=[Dense(units=4096), Dense(units=4096)])
        measured = measure(recipe(model), IMAGENET)
        assert measured.parameters == 138_357_544
        assert measured.flops == pytest.approx(2 * 15.5e9, rel=0.005)

    def test_of_mobilenet_v2_as_published(self):
        """Sandler et al. 2018, table 4: 3.4 million parameters and 300 million multiply-adds at 224x224."""
        measured = measure(recipe(Model(body=MobileNetV2(weights=None), pooling="average")), IMAGENET)
        assert measured.parameters == 3_538_984
        assert measured.flops == pytest.approx(2 * 300e6, rel=0.005)

    @pytest.mark.parametrize(
        ("layer", "multiplications"),
        [
            (layers.Conv2D(8, 3, padding="same"), 9 * 4 * 8 * 64),
            (layers.Conv2D(8, 3, strides=2, padding="same", groups=2), 9 * 2 * 8 * 16),
            (layers.DepthwiseConv2D(3, depth_multiplier=2), 9 * 4 * 2 * 36),
            (layers.SeparableConv2D(6, 3, padding="same"), (9 * 4 + 4 * 6) * 64),
            (layers.Conv2DTranspose(5, 2, strides=2), 4 * 4 * 5 * 64),
            (layers.Dense(7), 4 * 7 * 64),
            (layers.EinsumDense("bhwc,cde->bhwde", output_shape=(8, 8, 3, 5)), 64 * 4 * 15),
            (layers.EinsumDense("...c,cd->...d", output_shape=6), 64 * 4 * 6),
            (layers.BatchNormalization(), 0),
            (layers.MaxPooling2D(), 0),
        ],
        ids=lambda value: getattr(value, "name", None),
    )
    def test_of_a_layer(self, layer, multiplications):
        image = keras.Input((8, 8, 4))
        assert by_hand(keras.Model(image, layer(image)), (8, 8, 4)).flops == 2 * multiplications

    def test_a_layer_that_is_used_twice_counts_twice(self):
        image = keras.Input((8, 8, 4))
        shared = layers.Conv2D(4, 3, padding="same")
        measured = by_hand(keras.Model(image, shared(shared(image))), (8, 8, 4))
        assert measured.flops == 2 * 2 * 9 * 4 * 4 * 64
        assert measured.parameters == 9 * 4 * 4 + 4

    def test_models_within_models_and_open_sides(self):
        inner = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, 3, padding="same")])
        image = keras.Input((None, None, 3))
        x = layers.MaxPooling2D()(inner(image))
        network = keras.Model(image, layers.GlobalAveragePooling2D()(layers.Conv2D(5, 1)(x)))
        assert by_hand(network).flops == 2 * (9 * 3 * 2 * 32 * 32 + 2 * 5 * 16 * 16)

    def test_layers_within_a_layer_of_ones_own(self):
        class Twice(layers.Layer):
            def __init__(self):
                super().__init__()
                self.convs = [layers.Conv2D(3, 3, padding="same"), layers.Conv2D(3, 3, padding="same")]

            def call(self, x):
                return self.convs[1](self.convs[0](x)) + x

        image = keras.Input((32, 32, 3))
        network = keras.Model(image, Twice()(image))
        assert by_hand(network).flops == 2 * 2 * 9 * 3 * 3 * 32 * 32
        assert by_hand(network).memory > by_hand(keras.Model(image, layers.Conv2D(3, 3)(image))).memory

    def test_a_model_without_a_graph(self):
        class Own(keras.Model):
            def __init__(self):
                super().__init__()
                self.conv, self.head = layers.Conv2D(4, 3), layers.Dense(10)

            def call(self, x):
                return self.head(keras.ops.mean(self.conv(x), axis=(1, 2)))

        network = Own()
        network(np.zeros((1, 32, 32, 3)))
        assert by_hand(network).flops == 2 * (9 * 3 * 4 * 30 * 30 + 4 * 10)

    def test_of_baselines_by_name(self):
        space = load_space(ROOT / "spaces" / "cifar.py")
        costs = baseline_costs(space, CIFAR)
        assert list(costs) == list(space.baselines)
        assert costs["by_hand_1"] == measure(space.baselines["by_hand_1"], CIFAR).flops


def memory(model, inputs=CIFAR, **options):
    return measure(recipe(model, **options), inputs).memory


WIDE = Model(body=ConvNet(stages=[Stage(filters=(64, 64))]), pooling="average")
DEEP = Model(body=ConvNet(stages=[Stage(filters=1)]), dense=[Dense(units=3000), Dense(units=3000), Dense(units=3000)])


class TestMemory:
    def test_activations_grow_with_the_batch(self):
        fewer, more = memory(WIDE, batch_size=256), memory(WIDE, batch_size=512)
        kept = 2 * 64 * 32 * 32 * 4  # what two convolutions give, for one image
        assert more - fewer > 256 * kept
        assert more < 2 * fewer

    @pytest.mark.parametrize(
        ("optimizer", "slots"),
        [
            (SGD(), 0),
            (SGD(momentum=0.9), 1),
            (RMSprop(), 1),
            (RMSprop(momentum=0.9), 2),
            (Adam(), 2),
            (AdamW(), 2),
        ],
        ids=repr,
    )
    def test_an_optimizer_keeps_numbers_for_each_weight(self, optimizer, slots):
        # Held, and copied for a checkpoint.
        weights = 4 * measure(recipe(DEEP), CIFAR).parameters
        assert memory(DEEP, optimizer=optimizer) - memory(DEEP, optimizer=SGD()) == pytest.approx(
            2 * slots * weights, rel=0.35
        )

    def test_the_optimizer_of_a_compiled_model_counts(self):
        image = keras.Input((32, 32, 3))
        network = keras.Model(image, layers.Dense(5000)(layers.Flatten()(image)))
        plain = by_hand(network, optimizer=SGD()).memory
        network.compile(keras.optimizers.Adam(), "mse")
        assert by_hand(network, optimizer=SGD()).memory > plain + 4 * network.count_params()

    def test_what_is_frozen_keeps_nothing_for_the_way_back(self):
        learning, last, frozen = (
            memory(Model(body=MobileNetV2(weights=None, **options), pooling="average"), IMAGENET, batch_size=64)
            for options in ({"frozen": False}, {"unfreeze_last": 20}, {"frozen": True})
        )
        assert learning > 3 * last > 3 * frozen

    @pytest.mark.slow
    @pytest.mark.parametrize("case", ["conv_small", "dense_sgd", "mobilenet_160_frozen"])
    @pytest.mark.skipif(sys.platform != "linux", reason="Linux tells the peak of a process")
    def test_it_is_near_what_training_takes(self, case):
        script = ROOT / "benchmarks" / "memory_estimate.py"
        said = subprocess.run([sys.executable, script, "--one", case], check=True, capture_output=True)
        found = json.loads(said.stdout.splitlines()[-1])
        assert 1 / 1.6 < found["estimate"] / found["measured"] < 1.6


def test_every_network_of_the_benchmark_can_be_measured():
    spec = importlib.util.spec_from_file_location("memory_estimate", ROOT / "benchmarks" / "memory_estimate.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    for case in benchmark.CASES.values():
        inputs = image_inputs((case.side, case.side, 3), 10, 255.0)
        assert measure(recipe(case.model, batch_size=case.batch, optimizer=case.optimizer), inputs).memory > 10_000_000


def test_what_keras_remembers_for_other_threads_stays_theirs_meanwhile():
    """Another trial of this process may be training."""
    policies, measured, asked = [], threading.Event(), threading.Event()

    def other():
        keras.config.set_dtype_policy("mixed_bfloat16")
        asked.set()
        measured.wait(60)
        policies.append(keras.config.dtype_policy().name)

    thread = threading.Thread(target=other)
    thread.start()
    asked.wait(60)
    with without_a_trace():
        measured.set()
        thread.join()
    assert policies == ["mixed_bfloat16"]
    assert keras.config.dtype_policy().name == "float32"
