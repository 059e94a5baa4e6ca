"""Functions of a script that do by hand what `hpsearch.blocks` and `hpsearch.training` do to a network around it."""

from __future__ import annotations

from hpsearch.training.whitening import IMAGES, PIXELS, VALUES

__all__ = ["BOTH_WAYS", "DIRAC", "WHITEN"]

DIRAC = '''def dirac(convolution, x):
    """Apply a convolution whose first filters begin by handing on a channel each."""
    y = convolution(x)
    kernel = ops.convert_to_numpy(convolution.kernel).copy()
    height, width, count = *kernel.shape[:2], min(kernel.shape[2:])
    kernel[..., :count] = 0
    kernel[(height - 1) // 2, (width - 1) // 2, range(count), range(count)] = 1
    convolution.kernel.assign(kernel)
    return y'''

WHITEN = f'''def whiten(model, name, x, epsilon, learn_bias=True):
    """Give a convolution kernels that whiten patches of the images, and keep them as they are."""
    convolution = model.get_layer(name)
    front = keras.Model(model.input, convolution.input)
    height, width, channels = front.output_shape[1:]
    size, count = convolution.kernel_size[0], len(keras.tree.flatten(x)[0])
    most = min(max({PIXELS:_} // (height * width), 1), {IMAGES:_}, count)
    chosen = np.sort(np.random.default_rng(0).choice(count, most, replace=False))
    at_once = max({VALUES:_} // (height * width * channels * size**2), 1)
    places = total = products = 0
    for start in range(0, most, at_once):
        some = keras.tree.map_structure(lambda rows: rows[chosen[start : start + at_once]], x)
        seen = ops.convert_to_numpy(front(some, training=False)).astype("float64")
        down, across = height - size + 1, width - size + 1
        shifted = [seen[:, i : i + down, j : j + across] for i in range(size) for j in range(size)]
        patches = np.concatenate(shifted, axis=-1).reshape(-1, size * size * channels)
        places, total = places + len(patches), total + patches.sum(axis=0)
        products = products + patches.T @ patches
    mean = total / places
    values, vectors = np.linalg.eigh(products / places - np.outer(mean, mean))
    values, vectors = values[::-1].clip(0), vectors[:, ::-1]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))])
    scaled = vectors / np.sqrt(values + (epsilon * values.mean() or 1))
    kernel = np.concatenate([scaled, -scaled], axis=1)
    convolution.kernel.assign(kernel.reshape(convolution.kernel.shape))
    convolution.bias.assign(-mean @ kernel)
    convolution.kernel.trainable = False
    convolution.bias.trainable = learn_bias'''

BOTH_WAYS = '''def both_ways(model):
    """A model that answers with the mean of what a model says of images and of their mirror images."""
    given = {x.name: keras.Input(x.shape[1:], name=x.name, dtype=x.dtype) for x in model.inputs}
    mirrored = {name: ops.flip(x, axis=2) if len(x.shape) == 4 else x for name, x in given.items()}
    views = [view if len(view) > 1 else next(iter(view.values())) for view in (given, mirrored)]
    answers = [model(view, training=False) for view in views]
    return keras.Model(views[0], layers.Average(dtype="float32")(answers))'''
