"""System A's networks as code of the TensorFlow 2.15 years builds them; knows nothing of ours.

    python keras2.py write FOLDER [NAME ...]   random weights, inputs, outputs of every network
    python keras2.py read FOLDER               outputs with weights that others wrote

`write` leaves NAME.h5 and NAME.npz (image, output_0, ...). `read` takes FOLDER/NAME.h5 for every
NAME there, loads it by position and by name, and writes NAME.position.npz and NAME.name.npz.
"""

import os
import pathlib
import sys
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
warnings.filterwarnings("ignore")

import h5py  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tensorflow_addons as tfa  # noqa: E402
from tensorflow.keras import layers  # noqa: E402


class Sampling(layers.Layer):
    """z = mean at inference, mean + noise in training."""

    def call(self, inputs, training=None):
        mean, log_var = inputs
        if not training:
            return mean
        return mean + tf.exp(0.5 * log_var) * tf.random.normal(tf.shape(mean))


def norm(x, groups):
    if groups == -1:
        x = tfa.layers.InstanceNormalization()(x)
    elif groups:
        x = tfa.layers.GroupNormalization(groups=groups)(x)
    return layers.LeakyReLU(alpha=0.2)(x)


def conv(x, filters, size, strides=1):
    return layers.Conv2D(filters, size, strides, padding="same")(x)


def residual(x, filters, size, groups):
    y = conv(norm(x, groups), filters, size)
    return layers.Add()([x, conv(norm(y, groups), filters, size)])


def unet(side, channels, filters, sizes, blocks, skips, groups, latent, depth, up, out="tanh"):
    """A VAE U-Net; the coarsest `skips` levels above the latent hand features over."""
    image = layers.Input((side, side, channels))
    x = conv(image, filters[0], sizes[0])
    kept, last = [], len(filters) - 1
    for level, width in enumerate(filters):
        if level:
            x = conv(norm(x, groups), width, sizes[level], 2)
        for _ in range(blocks[level]):
            x = residual(x, width, sizes[level], groups)
        kept.append(x if last - level <= skips else None)
    x = norm(x, groups)
    small = side // 2**last
    if latent == "dense":
        x = layers.Flatten()(x)
        mean, log_var = layers.Dense(depth)(x), layers.Dense(depth)(x)
        z = Sampling()([mean, log_var])
        z = layers.Reshape((small, small, depth))(layers.Dense(small * small * depth)(z))
    else:
        mean, log_var = conv(x, depth, 1), conv(x, depth, 1)
        z = Sampling()([mean, log_var])
    x = conv(z, filters[-1], 3)
    for level in range(last, -1, -1):
        width, size = filters[level], sizes[level]
        if level < last:
            x = norm(x, groups)
            if up == "transpose":
                x = layers.Conv2DTranspose(width, 4, 2, padding="same")(x)
            else:
                if x.shape[-1] > width:
                    x = conv(x, width, 1)
                x = conv(layers.UpSampling2D(interpolation=up)(x), width, size)
            if kept[level] is not None:
                x = conv(layers.Concatenate()([x, kept[level]]), width, 1)
        for _ in range(blocks[level]):
            x = residual(x, width, size, groups)
    x = conv(norm(x, groups), channels, sizes[0])
    return tf.keras.Model(image, layers.Activation(out)(x))


def judge(side, channels, filters, heads, size, depth, groups):
    """A multi-scale PatchGAN: a head at each of the last `heads` levels."""
    image = x = layers.Input((side, side, channels))
    ends = []
    for level, width in enumerate(filters, start=1):
        for step in range(depth):
            x = conv(x, width, 3 if step else 4, 1 if step else 2)
            x = norm(x, 0 if level == 1 and step == 0 else groups)
        if level > len(filters) - heads:
            ends.append(conv(x, 1, size))
    return tf.keras.Model(image, ends)


def nested():
    """What full models may hold: nested models, operations, weight norm, moving statistics."""
    image = layers.Input((16, 16, 3), name="image")
    inside = layers.Input((16, 16, 4))
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(inside))
    encoder = tf.keras.Model(inside, layers.Conv2D(8, 4, 2, "same", activation="relu")(y))
    decoder = tf.keras.Sequential(
        [
            layers.Conv2DTranspose(8, 3, 2, "same", input_shape=(8, 8, 8)),
            layers.PReLU(shared_axes=[1, 2]),
            layers.ZeroPadding2D(1),
            layers.Conv2D(12, 3),
        ]
    )
    x = tfa.layers.WeightNormalization(layers.Conv2D(4, 3, padding="same"))(image)
    x = layers.Activation("hard_sigmoid")(x - tf.constant([0.1, 0.2, 0.3, 0.4]))
    x = decoder(encoder(x))
    x = tf.nn.depth_to_space(x, 2)
    x = tf.clip_by_value(tf.image.resize(x, (16, 16)) * 0.5 + image, -1.0, 1.0)
    x = tfa.layers.InstanceNormalization(epsilon=1e-5)(x)
    shared = layers.Dense(3)
    x = layers.Concatenate()([shared(x), tf.tanh(shared(x[..., ::-1]))])
    return tf.keras.Model(image, layers.DepthwiseConv2D(3, padding="same")(x))


def nested_plain():
    """Models in a model, with moving statistics, a shared one among them."""
    image = layers.Input((16, 16, 2))
    inside = layers.Input((16, 16, 2))
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(inside))
    y = layers.BatchNormalization()(layers.Conv2D(2, 3, padding="same", use_bias=False)(y))
    block = tf.keras.Model(inside, y)
    tail = tf.keras.Sequential([layers.Dense(5, input_shape=(16, 16, 2)), layers.ELU()])
    x = layers.Add()([block(image), block(layers.ReLU()(block(image)))])
    return tf.keras.Model(image, layers.Conv2D(1, 3, name="end")(tail(x)))


# side, channels, filters, kernels, blocks, skips, groups, latent, its depth, upsampling
UNETS = {
    "unet_group": (32, 1, (8, 16, 16), (5, 3, 3), (0, 1, 1), 1, 4, "spatial", 6, "nearest"),
    "unet_instance": (
        *(32, 3, (8, 12, 16, 20), (3, 3, 3, 3), (1, 0, 2, 1)),
        *(3, -1, "spatial", 5, "transpose"),
    ),
    "unet_dense": (16, 1, (8, 8, 16), (3, 5, 3), (0, 0, 1), 2, 8, "dense", 10, "nearest"),
    "unet_plain": (32, 3, (8, 16), (3, 3), (2, 1), 0, 2, "spatial", 3, "bilinear", "sigmoid"),
    "unet_flat": (
        *(32, 1, (8, 8, 8, 8), (3, 3, 3, 3), (0, 1, 0, 2)),
        *(2, 4, "spatial", 4, "nearest"),
    ),
}
# side, channels, filters, heads, head kernel, convolutions a level, groups
JUDGES = {
    "judge_group": (32, 1, (8, 16, 16, 24), 4, 5, 2, 8),
    "judge_none": (32, 3, (8, 16, 24), 2, 3, 1, 0),
    "judge_instance": (64, 1, (8, 8, 16), 3, 5, 3, -1),
}


FULL_MODELS = {"nested": nested, "nested_plain": nested_plain}


def build(name):
    if name in UNETS:
        return unet(*UNETS[name])
    return judge(*JUDGES[name]) if name in JUDGES else FULL_MODELS[name]()


def fill(model, seed):
    """Give every weight a random value, variances positive ones."""
    rng = np.random.default_rng(seed)
    values = []
    for weight in model.weights:
        scale = 1 / np.sqrt(max(1, np.prod(weight.shape[:-1])))
        value = rng.normal(0, scale, weight.shape)
        if "gamma" in weight.name or "variance" in weight.name or weight.name.endswith("/g:0"):
            value = rng.uniform(0.5, 1.5, weight.shape)
        values.append(np.ones(weight.shape, bool) if weight.dtype == tf.bool else value)
    model.set_weights(values)


def run(model, image):
    outputs = model(image, training=False)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return {f"output_{i}": np.asarray(output) for i, output in enumerate(outputs)}


def write(folder, names):
    """Write weights, an image and its outputs for each network."""
    for seed, name in enumerate((*UNETS, *JUDGES, *FULL_MODELS)):
        if names and name not in names:
            continue
        tf.keras.backend.clear_session()
        model = build(name)
        fill(model, seed)
        path = folder / f"{name}.h5"
        if name in FULL_MODELS:
            model.save(path, include_optimizer=False)
        else:
            model.save_weights(path)
        shape = (2, *model.input_shape[1:])
        image = np.random.default_rng(100 + seed).uniform(-1, 1, shape).astype("float32")
        np.savez(folder / f"{name}.npz", image=image, **run(model, image))


def read(folder):
    """Load other people's weights by position and by name, and run them."""
    for path in sorted(folder.glob("*.h5")):
        image = np.load(folder / f"{path.stem}.npz")["image"]
        for way in ("position", "name"):
            model = build(path.stem)
            if way == "name":
                with h5py.File(path, "r") as file:
                    names = [name.decode() for name in file.attrs["layer_names"]]
                weighted = [layer for layer in model.layers if layer.weights]
                with h5py.File(path, "r") as file:
                    names = [name for name in names if len(file[name].attrs["weight_names"])]
                for layer, name in zip(weighted, names, strict=True):
                    layer._name = name
            model.load_weights(path, by_name=way == "name")
            np.savez(folder / f"{path.stem}.{way}.npz", **run(model, image))


if __name__ == "__main__":
    action, target, *chosen = sys.argv[1:]
    folder = pathlib.Path(target)
    if action == "write":
        write(folder, chosen)
    else:
        read(folder)
