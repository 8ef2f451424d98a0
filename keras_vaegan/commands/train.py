"""Train a network: `python -m keras_vaegan.train --preset NAME --data DIR --out RUN`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from keras_vaegan.commands.shell import CommandOptions, import_backend, read_pairs, run
from keras_vaegan.config.base import config_to_json
from keras_vaegan.config.changes import change_field, parse_value, read_field
from keras_vaegan.errors import InputError
from keras_vaegan.systems.registry import SYSTEMS, find_system, get_preset

SIGNALLED = 128  # plus the signal: 130 for Ctrl-C, 143 for SIGTERM
DEFAULT_PRESET = "vae_cyclegan_small"
SHARED_FIELDS = {name: name for name in ("steps", "batch_size", "precision", "seed")}
FIXED_IN_A_RUN = ("generator.", "data.")


@dataclass(frozen=True, kw_only=True)
class TrainOptions(CommandOptions):
    """Options of `train`; those that only some systems have are named in `System.options`."""

    data: Path
    """Folder that holds trainA (CT) and trainB (MRI), or a parent of it, or a file of `prepare`;
    for rrdbnet, of any images; for modality_unet, of BraTS cases."""
    out: Path
    """Run folder: weights, state, logs and samples."""
    preset: str | None = None
    """CycleGANs: vae_cyclegan, vae_cyclegan_small (the default), resnet_cyclegan,
    resnet_cyclegan_small, demo; super-resolution: rrdbnet_x4, rrdbnet_x4_small; missing MRI
    contrasts: modality_unet, modality_unet_small, modality_unet_few, modality_unet_any."""
    steps: int | None = None
    """Training steps in all; the preset's where not given."""
    epochs: int | None = None
    """Passes over the larger domain, instead of --steps."""
    minutes: float | None = None
    """Stop after this much training time, validation included."""
    cosine_steps: int | None = None
    """Steps in which the learning rates fall to 0 along half a cosine; 0 for no fall."""
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
    structure_weight: float | None = None
    """Weight of 1 - the correlation of the edges of an input and its translation."""
    source_negatives: float | None = None
    """Weight of untranslated inputs among what the discriminators shall call generated."""
    view_probability: float | None = None
    """Probability of each change (shift, mirroring, cutout) of what a discriminator sees."""
    lecam_weight: float | None = None
    """Weight of the LeCam regularisation of the discriminators."""
    discriminator_gradients: Literal["independent", "joint"] | None = None
    """Whether each head's gradient is normalised on its own."""
    align: Literal["none", "head"] | None = None
    """Crop every image to the head's bounding box first."""
    surroundings: Literal["keep", "black"] | None = None
    """Whether what lies apart from the head (table, head rest, writing) is painted black."""
    target: Literal["t1", "t1ce", "t2", "flair", "any"] | None = None
    """Contrast that modality_unet generates; any for one network that generates all four."""
    leave_out: str | None = None
    """Case to hold back for evaluate, of modality_unet: leave-one-out in as many runs as cases."""
    recompute: bool | None = None
    """Run generators again for their gradients: less memory, more time."""
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] | None = None
    """Numeric precision; auto picks mixed_bfloat16 where the hardware has it."""
    strategy: Literal["auto", "single", "mirrored", "multi_worker", "tpu"] = "auto"
    """Devices: one, all GPUs of this machine, several machines (TF_CONFIG or Slurm), a TPU."""
    device_data: bool = False
    """Keep the decoded images in the accelerator's memory and draw batches there; CycleGANs."""
    steps_per_call: int = 1
    """Steps that one call of the compiled program takes; for steps of a few milliseconds."""
    set: tuple[str, ...] = ()
    """Any other field of the config, as --dry-run prints it: losses.brain_weight=10; repeatable."""
    deterministic: bool = False
    """Slower operations that give the same bits in every run."""
    seed: int | None = None
    """Seed of data order, augmentation and initial weights."""
    resume: bool = False
    """Continue the run in --out."""
    init_from: Path | None = None
    """Start from the weights of another run of the same networks, or of a folder of weight files,
    instead of random ones, at any image size; a CycleGAN then has no hand-drawn start."""
    dry_run: bool = False
    """Print the resolved config and stop."""


def train(options: TrainOptions) -> int:
    """Train a preset on a folder of data.

    Returns:
        0, or 128 and the signal's number where one ended the run early (everything is saved then).

    Raises:
        InputError: contradictory options, bad data, or a run folder that cannot be used.
    """
    config = resolve_config(options)
    if options.dry_run:
        print(config_to_json(config))
        return 0
    from keras_vaegan.training.run_folder import is_run

    if is_run(options.out) and not options.resume:
        raise InputError(
            f"{options.out} already holds a run: expected a new folder; choose another --out "
            "or add --resume"
        )
    import_backend()
    from keras_vaegan.training.backend import use_determinism
    from keras_vaegan.training.distribution import make_strategy
    from keras_vaegan.training.run import train_run

    strategy = make_strategy(options.strategy)
    if options.deterministic:
        use_determinism(config.seed)
    with strategy.scope():
        received = train_run(
            find_system(config),
            config,
            options.data,
            options.out,
            options.resume,
            options.minutes,
            options.epochs,
            options.device_data,
            options.steps_per_call,
            options.init_from,
        )
    return SIGNALLED + received if received else 0


def resolve_config(options: TrainOptions) -> Any:
    """Preset (or the resumed run's config) with the options' changes.

    Raises:
        InputError: contradictory or refused values.
    """
    if options.steps is not None and options.epochs is not None:
        raise InputError("--steps and --epochs both given: expected one of them; drop the other")
    for name in ("steps", "epochs", "batch_size", "minutes"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise InputError(f"{_flag(name)} {value}: expected a value above 0")
    config = get_preset(options.preset or DEFAULT_PRESET)
    if options.resume:
        config = _read_resumed(options, config)
    elif options.init_from is not None:
        config = find_system(config).skip_start(config)
    fields = {**SHARED_FIELDS, **find_system(config).options}
    for name in [*SHARED_FIELDS, *(name for system in SYSTEMS for name in system.options)]:
        value = getattr(options, name)
        if value is None:
            continue
        if name not in fields:
            kinds = [s.config_type.__name__ for s in SYSTEMS if name in s.options]
            raise InputError(
                f"{_flag(name)} given with a {type(config).__name__}: expected it with a "
                f"{' or '.join(kinds)}'s preset only; drop it"
            )
        config = _change(config, _flag(name), fields[name], value, options.resume)
    for path, text in read_pairs(options.set, "--set", "losses.cycle_weight=3").items():
        value = parse_value(text)
        config = _change(config, f"--set {path}", path, value, options.resume)
        if path.endswith(".seed") or read_field(config, path) != value:
            raise InputError(f"--set {path}: it follows from other fields; set those")
    if options.init_from is None:
        return config
    if options.resume:
        raise InputError("--init-from and --resume both given: expected one of them; drop one")
    if not options.init_from.is_dir():
        raise InputError(f"--init-from {options.init_from} is no folder: expected a run folder")
    return config


def _read_resumed(options: TrainOptions, preset: Any) -> Any:
    """The config of the run in --out, whose network --preset must not contradict."""
    from keras_vaegan.training.run_folder import read_run_config

    config = read_run_config(options.out)
    own, other = (
        [type(c.generator), *(getattr(c.generator, n, None) for n in ("filters", "num_blocks"))]
        for c in (config, preset)
    )
    if options.preset and own != other:
        raise InputError(
            f"--preset {options.preset} given with --resume: the run in {options.out} has "
            "another network; drop --preset, or train anew into another --out"
        )
    return config


def _change(config: Any, option: str, path: str, value: Any, resume: bool) -> Any:
    """A config with another value at a dotted path; a resumed network and its data are fixed."""
    try:
        current = read_field(config, path)
    except InputError as error:
        raise InputError(f"{option} given, but {error}; drop it") from error
    if resume and path.startswith(FIXED_IN_A_RUN) and value != current:
        raise InputError(
            f"{option} {value} given with --resume: expected the run's own {current}; drop "
            "it, or train anew into another --out"
        )
    return change_field(config, path, value)


def _flag(name: str) -> str:
    """An option as the user types it."""
    return f"--{name.replace('_', '-')}"


main = partial(run, train, prog="python -m keras_vaegan.train")
