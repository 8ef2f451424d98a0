"""Both networks of System A: shapes, counts, gradients, names, backends."""

import dataclasses
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vaegan.config.networks import DiscriminatorConfig, RRDBNetConfig, VAEUNetConfig
from keras_vaegan.errors import InputError
from keras_vaegan.models.build import build_model
from keras_vaegan.models.discriminators import build_discriminator
from keras_vaegan.models.latent import split_at_latent
from keras_vaegan.models.rrdbnet import build_rrdbnet
from keras_vaegan.models.vae_unet import build_generator
from keras_vaegan.systems.registry import get_preset
from keras_vaegan.weights.record import WeightsRecord

TINY = VAEUNetConfig(
    image_size=32,
    channels=1,
    filters=(8, 16, 16),
    kernel_sizes=(5, 3, 3),
    num_residual_blocks=(0, 1, 1),
    skip_levels=1,
    groups=4,
    latent_channels=6,
)
TINY_JUDGE = DiscriminatorConfig(
    image_size=32, channels=1, filters=(8, 8, 16, 16), trunk_depth=2, groups=4
)
TINY_ENLARGER = RRDBNetConfig(scale=2, channels=1, num_features=8, num_blocks=1, growth_channels=4)


PINNED_COUNTS = {"vae_cyclegan_small": (1_860_433, 1_171_236), "demo": (390_337, 435_652)}


def make_images(config, count=2):
    shape = (count, config.image_size, config.image_size, config.channels)
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"channels": 3},
        {"latent": "dense"},
        {"upsampling": "bilinear"},
        {"upsampling": "transpose"},
        {"output_activation": "sigmoid"},
        {"skip_levels": 0},
        {"skip_levels": 2},
    ],
    ids=str,
)
def test_generator_keeps_shape_and_range(change):
    config = dataclasses.replace(TINY, **change)
    image = make_images(config)
    output = np.array(build_generator(config)(10 * image))
    assert output.shape == image.shape
    low = 0 if config.output_activation == "sigmoid" else -1
    assert output.min() >= low and output.max() <= 1
    assert output.std() > 1e-3


@pytest.mark.parametrize("latent", ["spatial", "dense"])
def test_every_variable_gets_a_finite_gradient(latent):
    model = build_generator(TINY, latent=latent)
    encoder, decoder = split_at_latent(model)
    with tf.GradientTape() as tape:
        z_mean, z_log_var, *skips = encoder(make_images(TINY), training=True)
        image = decoder([z_mean + tf.exp(z_log_var / 2), *skips], training=True)
        loss = tf.reduce_mean(image**2) + tf.reduce_mean(z_mean**2 + z_log_var**2)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0, variable.path


@pytest.mark.parametrize("latent", ["spatial", "dense"])
def test_the_halves_around_the_latent_are_the_generator(latent):
    model, images = build_generator(TINY, latent=latent, skip_levels=2), make_images(TINY)
    encoder, decoder = split_at_latent(model)
    z_mean, _, *skips = encoder(images)
    assert len(skips) == 2
    np.testing.assert_allclose(
        np.array(decoder([z_mean, *skips])), np.array(model(images)), atol=1e-6
    )
    assert split_at_latent(build_discriminator(TINY_JUDGE)) is None


def test_discriminator_has_k_maps_finest_first():
    maps = build_discriminator(TINY_JUDGE)(make_images(TINY_JUDGE))
    assert [m.shape for m in maps] == [(2, 16, 16, 1), (2, 8, 8, 1), (2, 4, 4, 1), (2, 2, 2, 1)]
    model = build_discriminator(TINY_JUDGE, num_heads=2)
    heads = [layer for layer in model.layers if layer.name.startswith("head_")]
    assert [head.kernel_size for head in heads] == [(5, 5)] * 2


def test_gray_stays_gray_through_three_channels():
    config = dataclasses.replace(TINY, channels=3)
    image = np.repeat(make_images(TINY), 3, axis=-1)
    output = np.array(build_generator(config)(image))
    np.testing.assert_array_equal(output[..., :1].repeat(3, -1), output)
    tinted = np.array(build_generator(config, gray_output=False)(image))
    assert np.ptp(tinted, axis=-1).max() > 1e-3


def test_inference_is_deterministic_and_sampling_is_not():
    model, image = build_generator(TINY), make_images(TINY)
    np.testing.assert_array_equal(np.array(model(image)), np.array(model(image)))
    first, second = (np.array(model(image, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-4


def test_equal_configs_build_equal_weights():
    first, again, other = (
        build_generator(TINY),
        build_generator(TINY),
        build_generator(TINY, seed=9),
    )
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])


@pytest.mark.parametrize("preset", ["vae_cyclegan_small", "demo"])
def test_layer_names_do_not_depend_on_what_was_built_before(preset):
    config = get_preset(preset)
    for build, part in (
        (build_generator, config.generator),
        (build_discriminator, config.discriminator),
    ):
        first = [layer.name for layer in build(part).layers]
        assert first == [layer.name for layer in build(part).layers]
        assert len(set(first)) == len(first)


def test_parameter_counts_are_pinned():
    counts = {
        name: (
            build_generator(get_preset(name).generator).count_params(),
            build_discriminator(get_preset(name).discriminator).count_params(),
        )
        for name in ("vae_cyclegan_small", "demo")
    }
    assert counts["vae_cyclegan_small"][0] < 7_000_000
    assert counts == PINNED_COUNTS


def test_build_model_follows_the_config_or_the_record():
    assert build_model(TINY).name == "vae_unet"
    assert build_model(TINY_JUDGE).name == "multi_scale_discriminator"
    record = WeightsRecord(TINY, get_preset("demo").data)
    assert build_model(record).count_params() == build_model(TINY).count_params()
    with pytest.raises(InputError, match="LossConfig"):
        build_model(get_preset("demo").losses)


def test_upsampling_has_no_checkerboard_at_initialisation():
    """A flat image must not come out with a period-2 pattern inside its borders."""
    image = np.full((1, 32, 32, 1), 0.3, "float32")

    def ripple(kind):
        values = []
        for seed in range(4):
            out = np.array(build_generator(TINY, upsampling=kind, seed=seed)(image))[
                0, 12:20, 12:20, 0
            ]
            phases = np.array([out[i::2, j::2].mean() for i in (0, 1) for j in (0, 1)])
            values.append(phases.std())
        return np.mean(values)

    assert ripple("nearest") < 0.5 * ripple("transpose")


def test_jax_backend_without_tensorflow_gives_the_same_outputs(tmp_path):
    """Runs where `import tensorflow` is impossible, then compares (<= 1e-4)."""
    pytest.importorskip("jax", reason="the jax backend is not installed")
    model, judge = build_generator(TINY), build_discriminator(TINY_JUDGE)
    enlarger = build_rrdbnet(TINY_ENLARGER)
    image = make_images(TINY)
    weights = model.get_weights() + judge.get_weights() + enlarger.get_weights()
    arrays = {f"w{i}": w for i, w in enumerate(weights)}
    np.savez(tmp_path / "in.npz", image=image, **arrays)
    script = """
import json, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tf_keras"):
            raise ImportError(name + " is not installed")
sys.meta_path.insert(0, Refuse())
import numpy as np
from keras_vaegan.config.base import config_from_dict
from keras_vaegan.models.build import build_model
folder, *configs = sys.argv[1:]
data = np.load(folder + "/in.npz")
models = [build_model(config_from_dict(json.loads(c))) for c in configs]
count, outputs = 0, {}
for index, model in enumerate(models):
    number = len(model.get_weights())
    model.set_weights([data[f"w{count + i}"] for i in range(number)])
    count += number
    answers = model(data["image"])
    for head, answer in enumerate(answers if isinstance(answers, list) else [answers]):
        outputs[f"{index}_{head}"] = np.asarray(answer)
assert "tensorflow" not in sys.modules
np.savez(folder + "/out.npz", **outputs)
"""
    from keras_vaegan.config.base import config_to_dict

    configs = [json.dumps(config_to_dict(c)) for c in (TINY, TINY_JUDGE, TINY_ENLARGER)]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), *configs],
        check=True,
        env=environment,
        timeout=1800,
    )
    theirs = np.load(tmp_path / "out.npz")
    np.testing.assert_allclose(theirs["0_0"], np.array(model(image)), atol=1e-4)
    for head, answer in enumerate(judge(image)):
        np.testing.assert_allclose(theirs[f"1_{head}"], np.array(answer), atol=1e-4)
    np.testing.assert_allclose(theirs["2_0"], np.array(enlarger(image)), atol=1e-4)


def test_models_are_functional_and_survive_the_keras_format(tmp_path):
    model, image = build_generator(TINY), make_images(TINY)
    assert isinstance(model, keras.Model) and type(model).__name__ == "Functional"
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(np.array(again(image)), np.array(model(image)), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"image_size": 30}, "stride 4"),
        ({"channels": 2}, "1 or 3"),
        ({"groups": 5}, "multiples"),
        ({"skip_levels": 3}, "0 to 2"),
        ({"kernel_sizes": (3, 3)}, "3 values"),
        ({"latent": "tree"}, "spatial"),
        ({"kernel_sizes": (4, 3, 3)}, "odd"),
    ],
    ids=str,
)
def test_bad_configs_are_refused_in_one_line(change, word):
    with pytest.raises(InputError, match=word) as caught:
        build_generator(TINY, **change)
    assert "\n" not in str(caught.value)
