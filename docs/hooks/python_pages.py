"""Reference pages of the public names, from their docstrings."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import is_dataclass

import keras_vaegan
from keras_vaegan.systems.registry import SYSTEMS

GROUPS = {
    "networks": (
        "Networks",
        "Every `build_` takes a frozen config, or its fields as keywords, and returns a Functional "
        "`keras.Model`.",
        (
            "build_generator", "build_resnet_generator", "build_discriminator",
            "build_patch_discriminator", "build_rrdbnet", "build_modality_unet",
            "VAEUNetConfig", "ResnetGeneratorConfig", "DiscriminatorConfig",
            "PatchDiscriminatorConfig", "RRDBNetConfig", "ModalityUNetConfig",
        ),
    ),
    "training": (
        "Training",
        "A run is a frozen config; `dataclasses.replace` changes it.",
        (
            "get_preset", "build_trainer", "CycleGAN", "ModalitySynthesis", "SuperResolution",
            "CycleGANConfig", "ModalityConfig", "SuperResolutionConfig", "LossConfig",
            "ModalityLossConfig", "OptimizerConfig", "DataConfig", "ModalityDataConfig",
            "AugmentationConfig", "DegradationConfig",
        ),
    ),
    "use": (
        "Use and evaluation",
        "From weights to images, and from images to figures.",
        ("Translator", "evaluate_pairs", "InputError"),
    ),
    "weights": (
        "Weight files",
        "Keras `.h5` files, this package's and other code's.",
        ("load_generator", "inspect_checkpoint", "load_legacy_h5", "save_legacy_h5"),
    ),
}  # fmt: skip
MEMBERS = {"Translator": ("load", "translate", "translate_batch", "draw_batch")}  # others: none
HOMES = {**keras_vaegan._HOMES, "InputError": "errors"}


def write_python_pages() -> dict[str, str]:
    """The pages of all public names and of the presets, by their place in the site.

    Raises:
        ValueError: a public name is on no page.
    """
    grouped = {name for _, _, names in GROUPS.values() for name in names}
    if missing := set(HOMES) - grouped:
        raise ValueError(f"public names on no page of {__name__}: {sorted(missing)}")
    pages = {key: _write_group(*group) for key, group in GROUPS.items()}
    pages["presets"] = _write_presets()
    pages["index"] = _write_index()
    return {f"reference/python/{key}.md": text for key, text in pages.items()}


def _write_group(title: str, text: str, names: tuple[str, ...]) -> str:
    """A page of names, each by its docstring."""
    return "\n".join([f"# {title}", "", text, "", *(_write_name(name) for name in names)])


def _write_name(name: str) -> str:
    """What mkdocstrings replaces by a name's signature and docstring; a config's defaults too."""
    lines = [
        f"::: keras_vaegan.{HOMES[name]}.{name}",
        "    options:",
        f"      heading: {name}",
        f"      members: {list(MEMBERS.get(name, ()))}",
        "",
    ]
    if name.endswith("Config"):
        lines += ["As it is without arguments:", "", "```python", _write_defaults(name), "```", ""]
    return "\n".join(lines)


def _write_defaults(name: str) -> str:
    """A config as a call with all its defaults; configs inside it by their names alone."""
    config = getattr(keras_vaegan, name)()
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    arguments = (
        f"    {key}={type(value).__name__ + '(...)' if is_dataclass(value) else repr(value)},"
        for key, value in values.items()
    )
    return "\n".join([f"{name}(", *arguments, ")"])


def _write_presets() -> str:
    """Every preset's docstring: what it is, and what was measured of it."""
    lines = ["# Presets", "", "`get_preset(NAME)` in Python, `--preset NAME` of `train`.", ""]
    for system in SYSTEMS:
        for preset in system.presets:
            text = (inspect.getdoc(preset) or "").replace("<", "&lt;")
            lines += [f"## {preset.__name__}", "", text, ""]
    return "\n".join(lines)


def _write_index() -> str:
    """The list of all names, page by page."""
    lines = [
        "# Python",
        "",
        "All names are importable from `keras_vaegan`, and load when they are first used.",
        "",
        "```python",
        "import keras_vaegan as kv",
        "```",
    ]
    for key, (title, text, names) in GROUPS.items():
        places = {name: f"{key}.md#keras_vaegan.{HOMES[name]}.{name}" for name in names}
        links = ", ".join(f"[`{name}`]({place})" for name, place in places.items())
        lines += ["", f"## {title}", "", text, "", links]
    return "\n".join([*lines, "", "## Presets", "", "Their records: [Presets](presets.md)."])
