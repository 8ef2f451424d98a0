"""Train a translator: `python -m keras_vaegan.train --preset NAME --data DIR --out RUN`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from keras_vaegan.commands.shell import run
from keras_vaegan.config.base import config_to_json, resize_config
from keras_vaegan.errors import InputError
from keras_vaegan.systems.cyclegan.config import CycleGANConfig
from keras_vaegan.systems.modality.config import ModalityConfig
from keras_vaegan.systems.registry import get_preset

SIGNALLED = 128  # plus the signal: 130 for Ctrl-C, 143 for SIGTERM
DEFAULT_PRESET = "vae_cyclegan_small"
LOSS_OPTIONS = (
    "cycle_weight",
    "ssim_weight",
    "identity_weight",
    "adversarial_weight",
    "discriminator_gradients",
)
CYCLEGAN_OPTIONS = ("image_size", "skip_levels", "align", "recompute", *LOSS_OPTIONS)
MODALITY_OPTIONS = ("target",)


@dataclass(frozen=True)
class TrainArguments:
    """Train a preset on a folder of images."""

    data: Path
    """Folder that holds trainA (CT) and trainB (MRI), or a parent of it; for rrdbnet, of any
    images; for modality_unet, of BraTS cases."""
    out: Path
    """Run folder: weights, state, logs and samples."""
    preset: str | None = None
    """CycleGANs: vae_cyclegan, vae_cyclegan_small (the default), resnet_cyclegan,
    resnet_cyclegan_small, demo; super-resolution: rrdbnet_x4, rrdbnet_x4_small; missing MRI
    contrasts: modality_unet, modality_unet_small."""
    steps: int | None = None
    """Training steps in all; the preset's where not given."""
    epochs: int | None = None
    """Passes over the larger domain, instead of --steps."""
    minutes: float | None = None
    """Stop after this much training time, validation included."""
    batch_size: int | None = None
    """Pairs per step, before augmented copies."""
    image_size: int | None = None
    """Side of the square network image in pixels."""
    skip_levels: int | None = None
    """Coarsest generator levels whose features skip the latent."""
    cycle_weight: float | None = None
    """Weight of the cycle L1."""
    ssim_weight: float | None = None
    """Weight of 1 - SSIM on both cycles."""
    identity_weight: float | None = None
    """Weight of the identity L1."""
    adversarial_weight: float | None = None
    """Weight of the adversarial loss."""
    discriminator_gradients: Literal["independent", "joint"] | None = None
    """Whether each head's gradient is normalised on its own."""
    align: Literal["none", "head"] | None = None
    """Crop every image to the head's bounding box first."""
    target: Literal["t1", "t1ce", "t2", "flair", "any"] | None = None
    """Contrast that modality_unet makes; any for one network that makes all four."""
    recompute: bool = False
    """Run generators again for their gradients: less memory, more time."""
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] | None = None
    """Numeric precision; auto picks mixed_bfloat16 where the hardware has it."""
    strategy: Literal["auto", "single", "mirrored", "multi_worker", "tpu"] = "auto"
    """Devices: one, all GPUs of this machine, several machines (TF_CONFIG or Slurm), a TPU."""
    deterministic: bool = False
    """Slower operations that give the same bits in every run."""
    seed: int | None = None
    """Seed of data order, augmentation and initial weights."""
    resume: bool = False
    """Continue the run in --out."""
    dry_run: bool = False
    """Print the resolved config and stop."""


def main(argv: list[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    return run(train, argv, prog="python -m keras_vaegan.train")


def train(arguments: TrainArguments) -> int:
    """Train as the arguments say.

    Returns:
        0, or 128 and the signal's number where one ended the run early (everything is saved then).

    Raises:
        InputError: contradictory options, bad data, or a run folder that cannot be used.
    """
    config = resolve_config(arguments)
    if arguments.dry_run:
        print(config_to_json(config))
        return 0
    from keras_vaegan.training.run_config import is_run

    if is_run(arguments.out) and not arguments.resume:
        raise InputError(
            f"{arguments.out} already holds a run: expected a new folder; choose another --out "
            "or add --resume"
        )
    from keras_vaegan.training.distribution import make_strategy, use_determinism
    from keras_vaegan.training.run import train_run

    strategy = make_strategy(arguments.strategy)
    if arguments.deterministic:
        use_determinism(config.seed)
    with strategy.scope():
        received = train_run(
            config,
            arguments.data,
            arguments.out,
            arguments.resume,
            arguments.minutes,
            arguments.epochs,
        )
    return SIGNALLED + received if received else 0


def resolve_config(arguments: TrainArguments):
    """Preset (or the resumed run's config) with the arguments' changes.

    Raises:
        InputError: contradictory or refused values.
    """
    if arguments.steps is not None and arguments.epochs is not None:
        raise InputError("--steps and --epochs both given: expected one of them; drop the other")
    for name in ("steps", "epochs", "batch_size", "minutes"):
        value = getattr(arguments, name)
        if value is not None and value <= 0:
            raise InputError(f"--{name.replace('_', '-')} {value}: expected a value above 0")
    config = get_preset(arguments.preset or DEFAULT_PRESET)
    if arguments.resume:
        config = _read_resumed(arguments, config)
    config = _replace_given(config, arguments, ("steps", "batch_size", "precision", "seed"))
    if isinstance(config, CycleGANConfig):
        _refuse_options(config, arguments, MODALITY_OPTIONS, "a modality_unet")
        if arguments.steps is not None:
            config = dataclasses.replace(config, epochs=0)
        return _apply_cyclegan_options(config, arguments)
    _refuse_options(config, arguments, CYCLEGAN_OPTIONS, "a CycleGAN")
    if isinstance(config, ModalityConfig):
        return _apply_modality_options(config, arguments)
    return config


def _read_resumed(arguments: TrainArguments, preset):
    """The config of the run in --out.

    Raises:
        InputError: no run, or --preset names another kind of network than the run's.
    """
    from keras_vaegan.training.run_config import read_run_config

    config = read_run_config(arguments.out)
    networks = [
        next(getattr(c, n) for n in ("generator", "model", "network") if hasattr(c, n))
        for c in (config, preset)
    ]
    shapes = [
        [type(n), *(getattr(n, field, None) for field in ("filters", "num_blocks"))]
        for n in networks
    ]
    if arguments.preset and shapes[0] != shapes[1]:
        raise InputError(
            f"--preset {arguments.preset} given with --resume: the run in {arguments.out} has "
            "another network; drop --preset, or train anew into another --out"
        )
    return config


def _refuse_options(config, arguments: TrainArguments, names: tuple[str, ...], kind: str) -> None:
    """Refuse options that only presets of another kind have."""
    for name in names:
        if getattr(arguments, name) not in (None, False):
            raise InputError(
                f"--{name.replace('_', '-')} given with a {type(config).__name__}: expected it "
                f"with {kind} preset only; drop it"
            )


def _apply_modality_options(config: ModalityConfig, arguments: TrainArguments) -> ModalityConfig:
    """A modality network's config with the options that only it has.

    Raises:
        InputError: a resumed run's target would change.
    """
    if arguments.resume and arguments.target not in (None, config.model.target):
        raise InputError(
            f"--target {arguments.target} given with --resume: expected the run's own "
            f"{config.model.target}; drop it or train anew"
        )
    model = _replace_given(config.model, arguments, MODALITY_OPTIONS)
    return dataclasses.replace(config, model=model)


def _apply_cyclegan_options(config: CycleGANConfig, arguments: TrainArguments) -> CycleGANConfig:
    """A CycleGAN's config with the options that only it has."""
    if arguments.image_size is not None:
        config = resize_config(config, arguments.image_size)
    if arguments.skip_levels is not None and not hasattr(config.generator, "skip_levels"):
        raise InputError(
            f"--skip-levels given with a {type(config.generator).__name__}: expected it with a "
            "U-Net only; drop it"
        )
    return dataclasses.replace(
        config,
        recompute=config.recompute or arguments.recompute,
        generator=_replace_given(config.generator, arguments, ("skip_levels",)),
        data=_replace_given(config.data, arguments, ("align",)),
        losses=_replace_given(config.losses, arguments, LOSS_OPTIONS),
    )


def _replace_given(config, arguments: TrainArguments, names: tuple[str, ...]):
    """`config` with those of the named fields that the arguments set."""
    given = {name: getattr(arguments, name) for name in names}
    return dataclasses.replace(config, **{k: v for k, v in given.items() if v is not None})


if __name__ == "__main__":
    raise SystemExit(main())
