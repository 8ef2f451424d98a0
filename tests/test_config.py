"""Configs: checks, presets, JSON."""

import dataclasses
import json

import pytest

from keras_vaegan.config.base import config_from_dict, config_to_dict, config_to_json, resize_config
from keras_vaegan.config.data import AugmentationConfig, DataConfig
from keras_vaegan.config.run import OptimizerConfig
from keras_vaegan.errors import InputError
from keras_vaegan.systems.cyclegan.config import CycleGANConfig, LossConfig
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
    generator, judge = config.generator, config.discriminator
    assert (generator.filters, generator.num_residual_blocks) == ((64, 128, 256), 9)
    assert (generator.convs_per_block, generator.kernel_size) == (2, 7)
    assert judge.filters == (64, 128, 256, 512) and judge.receptive_field == 70
    assert judge.spectral_norm and judge.instance_norm
    losses = config.losses
    assert losses.adversarial == "least_squares"
    assert (losses.cycle_weight, losses.identity_weight, losses.ssim_weight) == (10, 0.5, 1)
    assert not (losses.anchor_weight or losses.background_weight or losses.cycle_noise)
    rates = config.optimizer
    assert (rates.learning_rate, rates.beta_1, rates.beta_2) == (2e-4, 0.5, 0.999)
    assert (rates.cosine_epochs, rates.decay, rates.ema_decay) == (50, 0, 0)
    assert (config.batch_size, config.epochs, config.validation_epochs) == (16, 60, 5)
    assert (config.best_by, config.pool_size, config.precision) == ("ssim", 0, "mixed_float16")
    changes = config.augmentation
    assert (changes.copies, changes.in_place, changes.separate_warps) == (0, True, True)
    assert (changes.flip, changes.warp_probability) == (0.5, 0.5)
    assert (changes.rotation_degrees, changes.zoom) == (15, 0.1)
    assert not (changes.translation or changes.intensity)


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(InputError, match="vae_cyclegan_small"):
        get_preset("vae")


def test_configs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_preset("demo").seed = 1


def test_resize_changes_every_part():
    config = resize_config(get_preset("demo"), 128)
    sizes = {config.generator.image_size, config.discriminator.image_size, config.data.image_size}
    assert sizes == {128}


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: resize_config(get_preset("demo"), 70), "stride"),
        (lambda: CycleGANConfig(data=DataConfig(image_size=128)), "image_size"),
        (lambda: CycleGANConfig(data=DataConfig(value_range="sigmoid")), "tanh"),
        (lambda: CycleGANConfig(batch_size=0), "batch_size"),
        (lambda: CycleGANConfig(precision="float8"), "mixed_bfloat16"),
        (lambda: LossConfig(cycle_weight=-1), "cycle_weight"),
        (lambda: LossConfig(adversarial="wasserstein"), "least_squares"),
        (lambda: LossConfig(head_clip_norm=0), "head_clip_norm"),
        (lambda: OptimizerConfig(learning_rate=0), "learning_rate"),
        (lambda: OptimizerConfig(beta_1=1.0), "beta_1"),
        (lambda: AugmentationConfig(flip=2), "flip"),
        (lambda: AugmentationConfig(copies=3), "copies"),
        (lambda: AugmentationConfig(copies=1, in_place=True), "in_place"),
        (lambda: OptimizerConfig(epsilon=0), "epsilon"),
        (lambda: OptimizerConfig(cosine_epochs=-1), "cosine_epochs"),
        (lambda: CycleGANConfig(best_by="copy"), "realism, ssim"),
        (lambda: CycleGANConfig(epochs=-1), "epochs"),
        (lambda: CycleGANConfig(validation_epochs=0), "validation_epochs"),
        (lambda: resize_config(get_preset("resnet_cyclegan"), 250), "stride"),
        (lambda: DataConfig(resize="crop"), "stretch"),
        (lambda: DataConfig(align="skull"), "head"),
        (lambda: config_from_dict({"kind": "Nothing"}), "kind"),
        (lambda: config_from_dict({"kind": "DataConfig", "colour": 1}), "colour"),
        (lambda: config_from_dict({"kind": "DataConfig", "image_size": "big"}), "wrong type"),
    ],
)
def test_bad_values_are_refused_in_one_line(build, word):
    with pytest.raises(InputError, match=word) as caught:
        build()
    assert "\n" not in str(caught.value)
