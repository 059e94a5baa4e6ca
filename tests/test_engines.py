"""Engines: whatever trains, the epochs are the same; on JAX the device engine gives what fit gives."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from hpsearch import (
    SGD,
    Adam,
    AdamW,
    Augment,
    ConvNet,
    Cosine,
    Dense,
    HyperModel,
    Model,
    Muon,
    OneCycle,
    Plateau,
    Recipe,
    Stage,
    Training,
    Triangular,
    Whitening,
)
from hpsearch.data.parts import image_part
from hpsearch.errors import InputError
from hpsearch.resolve import from_answers
from hpsearch.training import by_fit
from hpsearch.training.build import build
from hpsearch.training.course import Halted
from hpsearch.training.engines import check_engine
from hpsearch.training.fit import NotFiniteError, fit, refit
from hpsearch.training.inputs import image_inputs
from hpsearch.training.knobs import knobs_of, shape_of
from hpsearch.training.saving import Saving
from hpsearch.training.watch import Leaving, Watch

INPUTS = image_inputs((8, 8, 1), 10, 255.0)
NET = ConvNet(stages=[Stage(filters=4), Stage(filters=8)], batchnorm="after_activation")
ON_JAX = pytest.mark.jax
ENGINES = ["fit", pytest.param("device", marks=ON_JAX), pytest.param("looped", marks=ON_JAX)]

RECIPES = {
    "plain": Recipe(model=Model(body=NET), training=Training(epochs=3, batch_size=64)),
    "whole batches": Recipe(model=Model(body=NET), training=Training(epochs=2, batch_size=50)),
    "one batch": Recipe(model=Model(body=NET), training=Training(epochs=2, batch_size=1000)),
    "everything random": Recipe(
        model=Model(
            body=replace(NET, dropout=0.2), pooling="average", dropout=0.1, dense=[Dense(units=8, dropout=0.3)]
        ),
        training=Training(
            epochs=3, batch_size=64, augment=Augment(flip="horizontal", rotation=0.05, translation=0.1, zoom=0.1)
        ),
    ),
    "brighter": Recipe(
        model=Model(body=NET), training=Training(epochs=2, batch_size=64, augment=Augment(brightness=0.2, contrast=0.2))
    ),
    "moving statistics": Recipe(
        model=Model(body=replace(NET, batchnorm_momentum=0.9)), training=Training(epochs=2, batch_size=64)
    ),
    "by the step": Recipe(
        model=Model(body=NET),
        training=Training(
            epochs=3,
            batch_size=64,
            optimizer=AdamW(learning_rate=0.02, weight_decay=0.01),
            schedule=OneCycle(),
            clip_norm=1.0,
        ),
    ),
    "by the epoch": Recipe(
        model=Model(body=NET),
        training=Training(
            epochs=8,
            batch_size=64,
            optimizer=SGD(learning_rate=3.0),  # so high that the loss goes up
            schedule=Plateau(patience=1),
            early_stopping=2,
        ),
    ),
    "weighted": Recipe(
        model=Model(body=NET),
        training=Training(epochs=2, batch_size=64, class_weight="balanced", label_smoothing=0.1),
    ),
    "as records are trained": Recipe(
        model=Model(
            body=replace(
                NET,
                stem=Whitening(kernel_size=2, activation="gelu"),
                initializer="dirac",
                dropout=0.1,
                batchnorm_scale=False,
            ),
            logit_scale=0.2,
            flip_averaging=True,
        ),
        training=Training(
            epochs=3,
            batch_size=64,
            optimizer=Muon(learning_rate=0.01, weight_decay=0.1),
            schedule=Triangular(),
            bias_rate=4.0,
            label_smoothing=0.1,
            augment=Augment(flip="alternating", translation=0.1, cutout=0.2),
        ),
    ),
    "averaged": Recipe(
        model=Model(body=NET),
        training=Training(epochs=3, batch_size=64, average=0.9, optimizer=SGD(learning_rate=0.1, momentum=0.9)),
    ),
    "mixed": Recipe(
        model=Model(body=NET),
        training=Training(epochs=2, batch_size=64, augment=Augment(mixup=0.2, cutmix=1.0)),
    ),
    "16 bits": Recipe(model=Model(body=NET), training=Training(epochs=2, batch_size=64, precision="mixed_bfloat16")),
}


@pytest.fixture(scope="module", autouse=True)
def _compiled_once(tmp_path_factory):
    """What one test had JAX compile, others need not have compiled again."""
    if keras.config.backend() == "jax":
        import jax

        jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("programs")))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


@pytest.fixture(scope="module")
def digits():
    found = load_digits()
    images, labels = (found.images * 15).astype("uint8")[..., None], found.target.astype("int64")
    return image_part(images[:150], labels[:150]), image_part(images[150:260], labels[150:260])


@pytest.fixture
def choose(monkeypatch):
    """What the option is called for an engine; ``looped`` is the device engine as it is on a GPU."""

    def chosen(engine):
        if engine == "looped":
            monkeypatch.setattr("hpsearch.training.by_device.loops_on_device", lambda: True)
        elif engine == "device":
            monkeypatch.setattr("hpsearch.training.by_device.loops_on_device", lambda: False)
        return "fit" if engine == "fit" else "device"

    return chosen


class Noting(Watch):
    """Notes the epochs, and stops training at a step or ends it after some epochs."""

    def __init__(self, leave_at=None, halt_after=None):
        self.leave_at, self.halt_after = leave_at, halt_after
        self.epochs = []

    def step(self, epoch, step, steps):
        return self.leave_at is not None and (epoch, step) >= self.leave_at

    def epoch(self, epoch, checkpoint):
        self.epochs.append(epoch)
        return "halt" if epoch.epoch == self.halt_after else "go"


def trained(recipe, digits, engine, watch=None, saving=None):
    """The outcome, what each epoch measured, and the weights of the best."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(3)
    built = build(recipe, INPUTS, from_answers({}))
    watch = watch or Noting()
    outcome = fit(
        built,
        *digits,
        INPUTS,
        metric="val_accuracy",
        maximize=True,
        seed=5,
        watch=watch,
        saving=saving,
        engine=engine,
    )
    return outcome, [epoch.metrics for epoch in watch.epochs], built.network.get_weights()


def same(found, wanted, tolerance=2e-4):
    assert len(found) == len(wanted)
    for mine, its in zip(found, wanted, strict=True):
        assert mine == pytest.approx(its, rel=tolerance, abs=tolerance)


# ---- what holds for every engine


@pytest.mark.parametrize("engine", ENGINES)
def test_it_learns_and_leaves_the_network_as_it_was_at_its_best(engine, digits, choose):
    recipe = replace(RECIPES["plain"], training=Training(epochs=6, batch_size=32, optimizer=Adam(learning_rate=0.02)))
    outcome, epochs, _ = trained(recipe, digits, choose(engine))
    assert outcome.engine == choose(engine)
    assert outcome.score == max(epoch["val_accuracy"] for epoch in epochs) > 0.5
    assert outcome.train_score > 0.6


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("where", [(2, 0), (2, 1)], ids=["between epochs", "within an epoch"])
def test_a_training_that_was_stopped_goes_on_with_the_same_numbers(
    engine, where, digits, choose, tmp_path, monkeypatch
):
    if engine != "fit":
        monkeypatch.setattr("hpsearch.training.by_device.FIRST", 1)
        monkeypatch.setattr("hpsearch.training.by_device.BEAT", 0.0)  # whoever watches is asked at each step
    recipe, asked = RECIPES["everything random"], choose(engine)
    whole, epochs, weights = trained(recipe, digits, asked)
    saving = Saving(tmp_path, "recipe")
    before = Noting(leave_at=where)
    with pytest.raises(Leaving):
        trained(recipe, digits, asked, before, saving)
    after = Noting()
    again, rest, last = trained(recipe, digits, asked, after, saving)
    assert again == whole
    assert [epoch.metrics for epoch in before.epochs] + rest == epochs
    assert all(np.array_equal(mine, its) for mine, its in zip(last, weights, strict=True))


@pytest.mark.parametrize("engine", ENGINES)
def test_whoever_watches_may_end_it_after_an_epoch(engine, digits, choose):
    outcome, epochs, _ = trained(RECIPES["plain"], digits, choose(engine), Noting(halt_after=2))
    assert len(epochs) == 2
    assert outcome.train_score is None


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loss_that_is_lost_ends_it(engine, digits, choose):
    recipe = replace(RECIPES["plain"], training=Training(epochs=3, batch_size=64, optimizer=SGD(learning_rate=1e30)))
    with pytest.raises(NotFiniteError):
        trained(recipe, digits, choose(engine))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_retraining_replays_the_rates(engine, digits, choose):
    recipe = replace(RECIPES["plain"], training=Training(epochs=3, batch_size=64))
    built = build(recipe, INPUTS, from_answers({}))
    watch = Noting()
    refit(built, digits[0], INPUTS, learning_rates=[0.01, 0.002], seed=5, watch=watch, engine=choose(engine))
    assert [epoch.metrics["learning_rate"] for epoch in watch.epochs] == pytest.approx([0.01, 0.002])


# ---- the device engine beside fit


@pytest.mark.parametrize(
    ("name", "engine"),
    [pytest.param(name, "looped", marks=ON_JAX) for name in RECIPES]
    + [pytest.param("everything random", "device", marks=ON_JAX)],
)
def test_the_device_engine_measures_what_fit_measures(name, engine, digits, choose):
    wanted, epochs, weights = trained(RECIPES[name], digits, "fit")
    found, mine, others = trained(RECIPES[name], digits, choose(engine))
    assert (wanted.engine, found.engine) == ("fit", "device")
    tolerance = 2e-2 if name == "16 bits" else 2e-4
    same(mine, epochs, tolerance)
    assert found.train_score == pytest.approx(wanted.train_score, abs=1e-2 if name == "16 bits" else 1e-6)
    if name != "16 bits":
        assert all(np.allclose(a, b, atol=2e-3) for a, b in zip(others, weights, strict=True))


@ON_JAX
def test_recipes_of_one_shape_share_a_program_and_give_what_they_give_alone(digits, choose, monkeypatch):
    compiled = []
    from hpsearch.training import programs

    original = programs.Program.__init__
    monkeypatch.setattr(programs.Program, "__init__", lambda *given: compiled.append(1) or original(*given))
    monkeypatch.setattr(programs, "_programs", {})
    asked = choose("looped")
    base = RECIPES["everything random"]
    first = replace(
        base,
        training=replace(
            base.training,
            optimizer=AdamW(learning_rate=0.01, weight_decay=0.01),
            schedule=Cosine(warmup=0.2),
            label_smoothing=0.1,
        ),
    )
    second = replace(
        first,
        model=replace(first.model, body=replace(NET, dropout=0.4), dense=[Dense(units=8, dropout=0.1)]),
        training=replace(
            first.training,
            epochs=4,
            optimizer=AdamW(learning_rate=0.003, weight_decay=0.1),
            schedule=Cosine(final=0.1),
            label_smoothing=0.2,
        ),
    )
    trained(first, digits, asked)
    _, mine, _ = trained(second, digits, asked)
    assert len(compiled) == 1
    _, wanted, _ = trained(second, digits, "fit")
    same(mine, wanted, 2e-3)
    trained(replace(second, training=replace(second.training, label_smoothing=0.0)), digits, asked)
    assert len(compiled) == 2


@ON_JAX
def test_a_checkpoint_of_one_engine_serves_the_other(digits, choose, tmp_path):
    recipe = RECIPES["by the step"]
    _, epochs, _ = trained(recipe, digits, "fit")
    saving = Saving(tmp_path, "recipe")
    with pytest.raises(Leaving):
        trained(recipe, digits, "fit", Noting(leave_at=(2, 0)), saving)
    _, rest, _ = trained(recipe, digits, choose("looped"), saving=saving)
    same(rest, epochs[1:])


@ON_JAX
def test_a_training_that_was_killed_when_all_was_done_is_still_that_of_its_engine(digits, choose, tmp_path):
    saving = Saving(tmp_path, "recipe")
    asked = choose("looped")
    trained(RECIPES["plain"], digits, asked, saving=saving)
    outcome, _, _ = trained(RECIPES["plain"], digits, asked, saving=saving)
    assert outcome.engine == "device"


def asks_for_numbers(hp):
    """A network that JAX cannot compile: it asks what its numbers are."""

    class Asking(keras.layers.Layer):
        def call(self, x):
            return x if float(keras.ops.sum(x)) >= 0 else -x

        def compute_output_spec(self, x):
            return keras.KerasTensor(x.shape, x.dtype)

    inputs = keras.Input((8, 8, 1))
    answer = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(Asking()(inputs)))
    return keras.Model(inputs, answer)


@ON_JAX
def test_a_model_that_cannot_be_compiled_is_trained_by_fit(digits, choose, capsys, monkeypatch):
    recipe = Recipe(model=HyperModel(asks_for_numbers, values={}), training=Training(epochs=1, batch_size=64))

    def end(engine, work):
        raise Halted

    monkeypatch.setattr("hpsearch.training.by_fit.Fit.train", end)  # that it is called is all that counts here
    with pytest.raises(NotFiniteError):
        trained(recipe, digits, choose("device"))
    assert "not by the device engine: JAX cannot compile the model" in capsys.readouterr().out


@ON_JAX
def test_what_it_cannot_train_is_trained_by_fit_which_says_so(digits, choose, capsys, monkeypatch):
    monkeypatch.setattr("hpsearch.training.by_device.MOST", 0.0)
    monkeypatch.setattr("hpsearch.training.by_device._free", lambda: 10**9)
    outcome, epochs, _ = trained(RECIPES["plain"], digits, choose("device"))
    assert outcome.engine == "fit"
    assert len(epochs) == 3
    assert "model.fit and not by the device engine: its data takes" in capsys.readouterr().out


@ON_JAX
def test_features_of_a_frozen_body_and_two_phases(digits, choose, tmp_path):
    from hpsearch import FineTune, Pretrained

    keras.utils.set_random_seed(0)
    file = tmp_path / "model.keras"
    build(RECIPES["plain"], INPUTS, from_answers({})).network.save(file)
    recipe = Recipe(
        model=Model(body=Pretrained(str(file)), dense=[Dense(units=8, dropout=0.2)]),
        training=Training(epochs=2, batch_size=64, fine_tune=FineTune(epochs=2, unfreeze_last=2, learning_rate=0.001)),
    )
    _, wanted, _ = trained(recipe, digits, "fit")
    outcome, found, _ = trained(recipe, digits, choose("looped"))
    assert outcome.engine == "device"
    same(found, wanted)


# ---- what programs are traced from


def kept(monkeypatch):
    """The programs that are kept from here on, by shape."""
    from hpsearch.training import programs

    monkeypatch.setattr(programs, "_programs", found := {})
    return found


@ON_JAX
@pytest.mark.parametrize("name", ["plain", "as records are trained", "mixed", "16 bits"])
def test_a_program_holds_no_weights(name, digits, choose, monkeypatch):
    """Its model is another one than the one that was trained, and nothing of it but a few numbers is on the device."""
    programs = kept(monkeypatch)
    trained(replace(RECIPES[name], training=replace(RECIPES[name].training, epochs=1)), digits, choose("looped"))
    (program,) = programs.values()
    held = [value for value in vars(program._trainer.optimizer).values() if hasattr(value, "nbytes")]
    variables = [*program._trainer.variables, *program._trainer.optimizer.variables, *held]
    assert len(variables) > 10
    assert sum(variable._value.nbytes for variable in variables if variable._value is not None) < 200


@ON_JAX
def test_what_is_done_to_a_network_does_not_change_its_program(digits, choose, monkeypatch):
    """A program that is traced while its network finds the statistics of batch normalisation validates as any other."""
    from hpsearch.training import by_device
    from hpsearch.training.statistics import Statistics, _normalising_by_batches

    kept(monkeypatch)
    recipe, asked = RECIPES["plain"], choose("looped")
    _, wanted, _ = trained(recipe, digits, "fit")
    measured = by_device._Run.measured

    def in_the_middle(run, *given):
        statistics = Statistics(run.trainer, digits[0].images, 64)
        with _normalising_by_batches(statistics._layers):
            return measured(run, *given)

    monkeypatch.setattr(by_device._Run, "measured", in_the_middle)
    _, found, _ = trained(recipe, digits, asked)
    same(found, wanted)


@ON_JAX
def test_a_network_with_code_of_the_users_own_is_traced_itself_and_not_kept(digits, choose, monkeypatch):
    class Doubling(keras.layers.Layer):
        def call(self, x):
            return 2 * x

    def build_doubling(hp):
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.BatchNormalization()(keras.layers.Flatten()(Doubling()(inputs)))
        return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))

    programs = kept(monkeypatch)
    recipe = Recipe(model=HyperModel(build_doubling, values={}), training=Training(epochs=2, batch_size=64))
    _, wanted, _ = trained(recipe, digits, "fit")
    outcome, found, _ = trained(recipe, digits, choose("looped"))
    assert outcome.engine == "device"
    same(found, wanted)
    assert not programs


def in_a_row():
    layers = [
        keras.Input((8, 8, 1)),
        keras.layers.Flatten(),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
    ]
    return keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax")])


def of_a_function():
    inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, keras.layers.Dense(10, activation=lambda x: x)(keras.layers.Flatten()(inputs)))


@ON_JAX
@pytest.mark.parametrize(("build_it", "made"), [(in_a_row, True), (of_a_function, False)])
def test_networks_that_a_user_builds_have_twins_where_they_are_of_keras_alone(build_it, made):
    from hpsearch.training.compiling import Trained
    from hpsearch.training.plan import phases_of

    recipe = Recipe(model=HyperModel(lambda hp: build_it(), values={}), training=Training(epochs=1))
    found = Trained(build(recipe, INPUTS, from_answers({})), INPUTS, 0)
    assert found.twin() is None, "it was not compiled"
    found.compile(phases_of(recipe.training, recipe.model)[0], 40)
    twin = found.twin()
    assert (twin is not None) is made
    if twin is not None:
        assert [each.shape for each in twin.variables] == [each.shape for each in found.trainer.variables]


def test_the_twin_of_a_network_calculates_as_it_does():
    """With a model in it whose last layers are thawed, whose dropout is stilled, and that has looked at pixels."""
    from hpsearch.blocks.frozen import freeze
    from hpsearch.training.twins import twin_of
    from hpsearch.training.unallocated import unallocated

    seen = keras.layers.Normalization()
    seen.adapt(np.random.default_rng(0).uniform(0, 255, (8, 8, 8, 3)))
    layers = keras.layers
    stack = [seen, layers.Conv2D(3, 3), layers.BatchNormalization(), layers.Dropout(0.2), layers.Conv2D(4, 3)]
    body = keras.Sequential([keras.Input((8, 8, 3)), *stack], name="body")
    freeze(body, 1)
    inputs = keras.Input((8, 8, 3))
    network = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(body(inputs)))
    with unallocated():
        twin = twin_of(network)
    assert all(variable._value is None for variable in twin.variables)
    groups = [(network.trainable_variables, twin.trainable_variables)]
    groups.append((network.non_trainable_variables, twin.non_trainable_variables))
    for mine, its in groups:
        assert [(each.name, each.shape, each.dtype) for each in mine] == [(e.name, e.shape, e.dtype) for e in its]
    x = np.random.default_rng(1).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    values = [[variable.value for variable in mine] for mine, _ in groups]
    found, _ = twin.stateless_call(*values, x, training=False)
    wanted = keras.ops.convert_to_numpy(network(x, training=False))
    assert np.abs(wanted).max() > 0
    assert keras.ops.convert_to_numpy(found) == pytest.approx(wanted, rel=1e-5, abs=1e-6)


# ---- which recipes are of one shape


def test_recipes_that_differ_in_numbers_alone_are_of_one_shape():
    base = RECIPES["everything random"]
    other = replace(
        base,
        model=replace(base.model, dropout=0.5),
        training=replace(base.training, epochs=9, optimizer=Adam(learning_rate=0.5), early_stopping=3),
    )
    assert shape_of(base, INPUTS) == shape_of(other, INPUTS)
    for changed in (
        replace(base, model=replace(base.model, dropout=0.0)),
        replace(base, training=replace(base.training, batch_size=32)),
        replace(base, training=replace(base.training, optimizer=Adam(beta_1=0.8))),
        replace(base, training=replace(base.training, schedule=Cosine())),
        replace(base, training=replace(base.training, augment=None)),
    ):
        assert shape_of(changed, INPUTS) != shape_of(base, INPUTS)


def build_hp(hp):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Dropout(hp.Float("dropout", 0.1, 0.5))(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))


def test_networks_that_a_user_builds_are_of_one_shape_only_where_they_are_the_same():
    recipes = [
        Recipe(model=HyperModel(build_hp, values={"dropout": rate}), training=Training(epochs=1))
        for rate in (0.1, 0.2, 0.1)
    ]
    shapes = [shape_of(recipe, INPUTS) for recipe in recipes]
    assert shapes[0] == shapes[2] != shapes[1]


def test_the_knobs_of_a_training_are_what_it_was_told():
    from hpsearch.training.compiling import Trained
    from hpsearch.training.plan import phases_of

    recipe = Recipe(
        model=Model(body=replace(NET, dropout=0.2), dense=[Dense(units=4, dropout=0.3)]),
        training=Training(
            epochs=4,
            optimizer=AdamW(weight_decay=0.02),
            schedule=OneCycle(warmup=0.5, start=0.1, final=0.2),
            label_smoothing=0.1,
        ),
    )
    found = Trained(build(recipe, INPUTS, from_answers({})), INPUTS, 0)
    found.compile(phases_of(recipe.training, recipe.model)[0], 40)
    values = [round(knob.value, 6) for knob in knobs_of(found.trainer)]
    assert values == [0.2, 0.2, 0.3, 0.02, 0.001, 40, 20, 0.1, 0.2, 0.1]


def test_the_knobs_of_a_network_that_is_validated_both_ways_are_found_within_it():
    from hpsearch.training.compiling import Trained
    from hpsearch.training.plan import phases_of

    recipe = Recipe(
        model=Model(body=replace(NET, dropout=0.2), flip_averaging=True),
        training=Training(epochs=4, optimizer=Muon(weight_decay=0.02), augment=Augment(mixup=0.2)),
    )
    found = Trained(build(recipe, INPUTS, from_answers({})), INPUTS, 0)
    found.compile(phases_of(recipe.training, recipe.model)[0], 40)
    assert [round(knob.value, 6) for knob in knobs_of(found.trainer)] == [0.2, 0.2, 0.02, 0.02]


# ---- which engine is taken


@pytest.mark.skipif(keras.config.backend() == "jax", reason="there it is to be had")
def test_elsewhere_than_on_jax_the_device_engine_is_refused():
    with pytest.raises(InputError, match="--backend jax"):
        check_engine("device")
    check_engine("auto")


def test_on_a_cpu_fit_is_taken_unless_another_is_asked_for(digits, monkeypatch):
    called = []
    original = by_fit.Fit.train
    monkeypatch.setattr(by_fit.Fit, "train", lambda *given: called.append(1) or original(*given))
    outcome, _, _ = trained(RECIPES["whole batches"], digits, "auto")
    assert called
    assert outcome.engine == "fit"


@pytest.mark.skipif(keras.config.backend() == "jax", reason="there it is to be had")
def test_the_command_says_what_the_device_engine_needs(cli, tmp_path):
    said = cli("run", "spaces/digits.py", "--trials", "1", "--engine", "device", "--results", str(tmp_path))
    assert said.sentence.startswith(
        '--engine got "device", which needs Keras on JAX, and Keras is on tensorflow here; say --backend jax ('
    )
    assert said.sentence.endswith("-m pip install -e '.[jax]' -c constraints.txt), or leave --engine out.")
    assert not (tmp_path / "digits").exists()
