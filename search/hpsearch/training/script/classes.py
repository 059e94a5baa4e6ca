"""Classes that Keras lacks, as a script has them: written for whoever reads the script, without hpsearch."""

from __future__ import annotations

__all__ = ["ALTERNATING", "BIAS_RATE", "MIXED", "MUON", "ONE_CYCLE", "TRIANGULAR"]

ONE_CYCLE = '''class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Rises along half a cosine from a share of the peak to the peak, and falls along another."""

    def __init__(self, peak, steps, warmup, start, final):
        self.peak, self.steps, self.warmup, self.start, self.final = peak, steps, warmup, start, final

    def __call__(self, step):
        step = ops.cast(step, "float32")
        up = ops.clip(step / max(self.warmup, 1), 0.0, 1.0)
        down = ops.clip((step - self.warmup) / max(self.steps - self.warmup, 1), 0.0, 1.0)
        rising = self.start + (1 - self.start) * (1 - ops.cos(math.pi * up)) / 2
        falling = self.final + (1 - self.final) * (1 + ops.cos(math.pi * down)) / 2
        return self.peak * ops.where(step < self.warmup, rising, falling)'''

TRIANGULAR = '''class Triangular(keras.optimizers.schedules.LearningRateSchedule):
    """Rises in a line from a share of the peak to the peak, and falls in another."""

    def __init__(self, peak, steps, warmup, start, final):
        self.peak, self.steps, self.warmup, self.start, self.final = peak, steps, warmup, start, final

    def __call__(self, step):
        step = ops.cast(step, "float32")
        up = ops.clip(step / max(self.warmup, 1), 0.0, 1.0)
        down = ops.clip((step - self.warmup) / max(self.steps - self.warmup, 1), 0.0, 1.0)
        rising = self.start + (1 - self.start) * up
        falling = self.final + (1 - self.final) * (1 - down)
        return self.peak * ops.where(step < self.warmup, rising, falling)'''

MUON = '''class Muon(keras.optimizers.Muon):
    """Keras's Muon, which takes kernels of convolutions as matrices, and leaves the last kernel to Adam."""

    def build(self, variables):
        self.last = id([each for each in variables if len(each.shape) in (2, 4)][-1])
        super().build(variables)

    def _should_use_adamw(self, variable):
        if len(variable.shape) not in (2, 4) or variable.shape[-1] == 1 or id(variable) == self.last:
            return True
        return "embedding" in variable.path or "depthwise" in variable.path

    def zeropower_via_newtonschulz5(self, x, steps):
        found = super().zeropower_via_newtonschulz5(ops.reshape(x, (-1, x.shape[-1])), steps)
        return ops.reshape(found, x.shape)

    def lr_adjust(self, x):
        return ops.reshape(super().lr_adjust(ops.reshape(x, (-1, x.shape[-1]))), x.shape)'''

BIAS_RATE = '''class BiasRate(BASE):
    """The optimizer below it, with a larger learning rate for biases."""

    def __init__(self, bias_rate, **options):
        super().__init__(**options)
        self.bias_rate = bias_rate

    def build(self, variables):
        super().build(variables)
        self.biases = frozenset(n for n, each in enumerate(variables) if each.name in ("bias", "beta"))

    def update_step(self, gradient, variable, learning_rate):
        if self._get_variable_index(variable) in self.biases:
            learning_rate = ops.multiply(learning_rate, self.bias_rate)
        super().update_step(gradient, variable, learning_rate)'''

ALTERNATING = '''class Alternating(layers.Layer):
    """Mirrors each image in every other epoch, beginning with those the sum of whose pixels is odd."""

    def __init__(self, images, white):
        super().__init__()
        self.images, self.levels = images, 1 if white > 1 else 255
        self.seen = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False)

    def call(self, x, training=False):
        if not training:
            return x
        pixels = ops.cast(ops.round(ops.cast(x, "float32") * self.levels), "int32")
        turned = (ops.sum(pixels, axis=(1, 2, 3)) + self.seen // self.images) % 2
        self.seen.assign_add(ops.cast(ops.shape(x)[0], "int32"))
        return ops.where(ops.reshape(turned, (-1, 1, 1, 1)) == 1, ops.flip(x, axis=2), x)'''

MIXED = '''def shares_of(parameter):
    """Shares of an image in what becomes of it, as they are drawn from a beta distribution."""
    if not parameter:
        return None
    return np.sort(np.random.default_rng(0).beta(parameter, parameter, 2**18))[32::64].astype("float32")


class Mixing(layers.Layer):
    """Mixes each image with the one before it in the batch: adds them up (mixup), or puts in a box (cutmix)."""

    def __init__(self, mixup, cutmix):
        super().__init__()
        self.shares = [shares_of(mixup), shares_of(cutmix)]
        self.seeds = keras.random.SeedGenerator()
        self.share = self.add_weight(shape=(), dtype="float32", initializer="ones", trainable=False)

    def call(self, x, training=False):
        if not training:
            return x
        coin, drawn, *middle = ops.unstack(keras.random.uniform((4,), seed=self.seeds), 4)
        place, masks = ops.cast(drawn * 4096, "int32"), []
        added, boxed = (each if each is None else ops.take(ops.convert_to_tensor(each), place) for each in self.shares)
        if added is not None:
            masks.append(ops.ones(x.shape[1:3]) * added)
        if boxed is not None:
            half, sizes = ops.sqrt(1 - boxed) / 2, x.shape[1:3]
            away = [ops.abs(ops.arange(n, dtype="float32") + 0.5 - at * n) for n, at in zip(sizes, middle)]
            rows, columns = (ops.cast(each < half * n, "float32") for n, each in zip(sizes, away))
            masks.append(1 - rows[:, None] * columns)
        mask = ops.where(coin < 0.5, masks[0], masks[-1])
        share = ops.mean(mask)
        mask = ops.where(share < 0.5, 1 - mask, mask)  # the image itself has the larger share
        self.share.assign(ops.maximum(share, 1 - share))
        mask = ops.cast(mask[None, :, :, None], x.dtype)
        return mask * x + (1 - mask) * ops.roll(x, 1, axis=0)


class Mixed(keras.Model):
    """A model whose images are mixed while it is trained: the loss of each answer counts as much as its image does."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        if not training:
            return loss
        y, sample_weight = (each if each is None else ops.roll(each, 1, axis=0) for each in (y, sample_weight))
        other = super().compute_loss(x, y, y_pred, sample_weight, training=training)
        share = ops.cast(next(each for each in self.layers if isinstance(each, Mixing)).share, loss.dtype)
        return share * loss + (1 - share) * other'''
