"""Classes that Keras lacks, as a script has them: written for whoever reads the script, without hpsearch."""

from __future__ import annotations

__all__ = ["BIAS_RATE", "MUON", "ONE_CYCLE", "TRIANGULAR"]

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
