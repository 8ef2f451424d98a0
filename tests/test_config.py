"""Configs: checks, presets, JSON, files of version 0.1."""

import dataclasses
import json

import pytest

from keras_vaegan.config.base import (
    config_from_dict,
    config_to_dict,
    config_to_json,
    resolve_config,
)
from keras_vaegan.config.changes import change_field, parse_value, read_field
from keras_vaegan.config.data import AugmentationConfig, DataConfig
from keras_vaegan.config.networks import ModalityUNetConfig, RRDBNetConfig
from keras_vaegan.config.run import OptimizerConfig
from keras_vaegan.errors import InputError
from keras_vaegan.systems.cyclegan.config import CycleGANConfig, LossConfig
from keras_vaegan.systems.modality.config import ModalityConfig
from keras_vaegan.systems.registry import PRESETS, get_preset
from keras_vaegan.weights.record import WeightsRecord


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    config = get_preset(name)
    assert config_from_dict(json.loads(config_to_json(config))) == config


def test_weight_records_survive_json():
    config = get_preset("demo")
    record = WeightsRecord(config.generator, config.data)
    assert config_from_dict(json.loads(json.dumps(config_to_dict(record)))) == record


def test_published_preset_is_as_published():
    config = get_preset("vae_cyclegan")
    assert (config.data.image_size, config.data.channels) == (256, 3)
    assert (config.batch_size, config.augmentation.copies, config.steps) == (4, 1, 50_000)
    assert (config.optimizer.learning_rate, config.optimizer.decay) == (1e-4, 6e-8)
    assert config.losses.adversarial == "least_squares" and config.losses.cycle_weight == 10
    assert config.discriminator.num_heads == 4 and config.discriminator.head_kernel_size == 5
    assert config.pool_size == 50


def test_published_system_c_is_as_published():
    config = get_preset("resnet_cyclegan")
    assert (config.data.image_size, config.data.channels) == (256, 1)
    generator, discriminator = config.generator, config.discriminator
    assert (generator.filters, generator.num_residual_blocks) == ((64, 128, 256), 9)
    assert generator.convs_per_block == 2
    assert discriminator.filters == (64, 128, 256, 512) and discriminator.instance_norm
    losses = config.losses
    assert losses.adversarial == "least_squares"
    assert (losses.cycle_weight, losses.identity_weight, losses.ssim_weight) == (10, 0.5, 1)
    assert not (losses.anchor_weight or losses.background_weight or losses.cycle_noise)
    rates = config.optimizer
    assert (rates.learning_rate, rates.beta_1, rates.beta_2) == (2e-4, 0.5, 0.999)
    one_pass = 109  # steps of the published training set
    assert (rates.cosine_steps, rates.decay, rates.ema_decay) == (50 * one_pass, 0, 0)
    assert (config.batch_size, config.steps) == (16, 60 * one_pass)
    assert config.validate_every == 5 * one_pass
    assert (config.best_by, config.pool_size, config.precision) == ("ssim", 0, "mixed_float16")
    changes = config.augmentation
    assert (changes.mode, changes.copies, changes.separate_warps) == ("in_place", 0, True)
    assert changes.flip == 0.5
    assert (changes.rotation_degrees, changes.zoom) == (15, 0.1)
    assert not (changes.translation or changes.intensity)


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(InputError, match="vae_cyclegan_small"):
        get_preset("vae")


def test_configs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_preset("demo").seed = 1


def resize(config, side):
    return dataclasses.replace(config, data=dataclasses.replace(config.data, image_size=side))


@pytest.mark.parametrize("name", [name for name in PRESETS if hasattr(get_preset(name), "data")])
def test_networks_take_their_images_from_the_data(name):
    config = resize(get_preset(name), 128)
    assert config.generator.image_size == 128
    assert getattr(config, "discriminator", config.generator).image_size == 128


def test_an_activation_and_channels_follow_the_data():
    config = CycleGANConfig(data=DataConfig(value_range="sigmoid", channels=1))
    assert config.generator.output_activation == "sigmoid"
    assert config.generator.channels == config.discriminator.channels == 1


def test_either_calling_style_gives_a_config():
    data = DataConfig(channels=1)
    assert resolve_config(DataConfig, None, {"channels": 1}) == data
    assert resolve_config(DataConfig, data, {"channels": 3}) == DataConfig()
    with pytest.raises(InputError, match="got a LossConfig: expected a DataConfig"):
        resolve_config(DataConfig, LossConfig(), {})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: resize(get_preset("demo"), 70), "image_size=70: expected a multiple of .* stride"),
        (lambda: resize(get_preset("resnet_cyclegan"), 250), "image_size=250: .* stride"),
        (lambda: CycleGANConfig(batch_size=0), "batch_size=0: expected at least 1"),
        (lambda: CycleGANConfig(batch_size=2.0), "batch_size=2.0: expected a valid integer"),
        (lambda: CycleGANConfig(batch_size=40), "pool_size=50: expected 0, or at least the 80"),
        (lambda: CycleGANConfig(precision="float8"), "precision='float8': .*mixed_bfloat16"),
        (lambda: CycleGANConfig(best_by="copy"), "best_by='copy': expected 'realism' or 'ssim'"),
        (lambda: CycleGANConfig(steps=0), "steps=0: expected at least 1"),
        (lambda: CycleGANConfig(validate_every=-1), "validate_every=-1: expected at least 0"),
        (lambda: CycleGANConfig(seed=2**31), "seed=2147483648: expected below 2147483648"),
        (lambda: LossConfig(cycle_weight=-1), "cycle_weight=-1: expected at least 0"),
        (lambda: LossConfig(cycle_weight=float("nan")), "cycle_weight=nan: expected"),
        (lambda: LossConfig(adversarial="wasserstein"), "adversarial='wasserstein'.*least_squares"),
        (lambda: LossConfig(head_clip_norm=1.0), "LossConfig has no field 'head_clip_norm'"),
        (lambda: OptimizerConfig(learning_rate=0), "learning_rate=0: expected above 0"),
        (lambda: OptimizerConfig(beta_1=1.0), "beta_1=1.0: expected below 1"),
        (lambda: OptimizerConfig(epsilon=0), "epsilon=0: expected above 0"),
        (lambda: OptimizerConfig(cosine_steps=-1), "cosine_steps=-1: expected at least 0"),
        (lambda: AugmentationConfig(flip=2), "flip=2: expected at most 1"),
        (lambda: AugmentationConfig(mode="both"), "mode='both': expected 'copy', 'in_place' or"),
        (
            lambda: ModalityConfig(optimizer=OptimizerConfig(ema_decay=0.9)),
            "ema_decay=0.9: expected 0 for this system",
        ),
        (lambda: DataConfig(surroundings="blur"), "surroundings='blur': expected 'keep' or"),
        (lambda: DataConfig(resize="crop"), "resize='crop': expected 'pad' or 'stretch'"),
        (lambda: DataConfig(align="skull"), "align='skull': expected 'none' or 'head'"),
        (lambda: config_from_dict({"kind": "Nothing"}), "unknown config kind 'Nothing'"),
        (lambda: config_from_dict([]), "unknown config kind None"),
        (lambda: config_from_dict({"kind": "DataConfig", "colour": 1}), "no field 'colour'"),
        (lambda: config_from_dict({"kind": "DataConfig", "image_size": "big"}), "image_size='big'"),
    ],
)  # fmt: skip
def test_bad_values_are_refused_in_one_line(build, message):
    with pytest.raises(InputError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


# -- configs of version 0.1 ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"copies": 1, "in_place": False}, "copy"),
        ({"copies": 0, "in_place": True}, "in_place"),
        ({"copies": 0, "in_place": False}, "none"),
    ],
    ids=str,
)
def test_augmentation_of_old_files(fields, expected):
    old = {"kind": "AugmentationConfig", "warp_probability": 0.5, **fields}
    assert config_from_dict(old).mode == expected


@pytest.mark.parametrize(
    ("kind", "field", "kept", "other"),
    [
        ("AugmentationConfig", "warp_probability", 0.5, 1.0),
        ("LossConfig", "head_clip_norm", 1.0, 2.0),
        ("LossConfig", "ssim_warmup_steps", 0, 10),
        ("ResnetGeneratorConfig", "kernel_size", 7, 3),
        ("PatchDiscriminatorConfig", "spectral_norm", True, False),
        ("ModalityLossConfig", "l1_weight", 1.0, 0.5),
    ],
)
def test_retired_fields_are_read_at_their_one_value(kind, field, kept, other):
    assert config_from_dict({"kind": kind, field: kept}) == config_from_dict({"kind": kind})
    with pytest.raises(InputError, match=f"{field}=.*the only one today"):
        config_from_dict({"kind": kind, field: other})


def test_a_cyclegan_run_of_old_files_counts_in_steps():
    rates = {"kind": "OptimizerConfig", "learning_rate": 2e-4, "cosine_epochs": 50}
    old = {
        "kind": "CycleGANConfig", "steps": 6540, "epochs": 60, "epoch_steps": 109,
        "validation_epochs": 5, "steps_per_epoch": 0, "optimizer": rates,
    }  # fmt: skip
    config = config_from_dict(old)
    assert (config.steps, config.validate_every) == (6540, 545)
    assert config.optimizer == OptimizerConfig(learning_rate=2e-4, cosine_steps=5450)
    assert config_from_dict({**old, "steps_per_epoch": 200}).validate_every == 200


def test_a_modality_run_of_old_files():
    model = config_to_dict(ModalityUNetConfig(filters=(8, 16)))
    old = {"kind": "ModalityConfig", "model": model, "steps_per_epoch": 9, "learning_rate": 1e-3}
    config = config_from_dict(old)
    assert config.generator == ModalityUNetConfig(filters=(8, 16))
    assert (config.validate_every, config.optimizer.learning_rate) == (9, 1e-3)
    once = {"kind": "ModalityConfig", "optimizer": {"kind": "OptimizerConfig", "ema_decay": 0.9}}
    assert config_from_dict(once).optimizer == OptimizerConfig()


def test_a_super_resolution_run_of_old_files():
    old = {
        "kind": "SuperResolutionConfig", "network": config_to_dict(RRDBNetConfig(num_blocks=2)),
        "pixel_steps": 70, "halving_steps": 30, "schedule": "cosine", "learning_rate": 1e-3,
        "beta_1": 0.9, "beta_2": 0.99, "ema_decay": 0.5, "steps_per_epoch": 7,
    }  # fmt: skip
    config = config_from_dict(old)
    assert (config.generator.num_blocks, config.validate_every) == (2, 7)
    rates = OptimizerConfig(
        learning_rate=1e-3, beta_2=0.99, epsilon=1e-8, cosine_steps=70, ema_decay=0.5
    )
    assert config.optimizer == rates
    halving = config_from_dict({**old, "schedule": "halve"}).optimizer
    assert (halving.halving_steps, halving.cosine_steps) == (30, 0)


# -- changes by path -------------------------------------------------------------------------------


def test_fields_are_changed_by_their_path():
    config = get_preset("modality_unet_few")
    changed = change_field(config, "data.augmentation.shift", 3)
    assert changed.data.augmentation == dataclasses.replace(config.data.augmentation, shift=3)
    assert read_field(changed, "data.augmentation.shift") == 3
    with pytest.raises(InputError, match="no field 'shape' in a ModalityDataConfig: expected one"):
        change_field(config, "data.shape", 3)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[4, 8]", (4, 8)), ("4,8", (4, 8)), ("0.5", 0.5), ("true", True), ("True", True),
        ("null", None), ("nyul", "nyul"), ('"123"', "123"), ('["A","B"]', ("A", "B")), (",", ","),
    ],
)  # fmt: skip
def test_values_are_read_as_a_command_line_has_them(text, value):
    assert parse_value(text) == value
