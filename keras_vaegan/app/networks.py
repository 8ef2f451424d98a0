"""The networks that the page offers, each loaded once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_vaegan.errors import InputError
from keras_vaegan.evaluation.domain import DomainStatistics, read_statistics
from keras_vaegan.evaluation.uncertainty import read_calibration
from keras_vaegan.systems.cyclegan.translator import Translator
from keras_vaegan.systems.registry import open_predictor
from keras_vaegan.weights.manifest import digest_weights
from keras_vaegan.weights.names import (
    GENERATOR_FILES,
    RRDBNET_FILE,
    find_in_folder,
    find_weight_file,
)


@dataclass(frozen=True)
class Network:
    """A generator of one direction.

    Attributes:
        translator: With its error map, where its run was calibrated.
        direction: "mri2ct" or "ct2mri".
        digest: First digits of the SHA-256 of its weight file.
        statistics: Of the domain that it takes, where its run kept them.
    """

    translator: Translator
    direction: str
    digest: str
    statistics: DomainStatistics | None = None

    @property
    def domain(self) -> str:
        """What it takes: "mri" or "ct"."""
        return self.direction.split("2")[0]


@dataclass(frozen=True)
class Networks:
    """All networks of the page.

    Attributes:
        choices: By name and direction.
        enhancer: An RRDBNet, or None.
        lock: Whoever runs a network holds it.
    """

    choices: dict[str, dict[str, Network]]
    enhancer: Any = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, name: str, direction: str) -> Network:
        """A network by what was chosen.

        Raises:
            InputError: there is none.
        """
        network = self.choices.get(name, {}).get(direction)
        if network is None:
            raise InputError(
                f"no network {name} for {direction}: expected one that is offered; choose another"
            )
        return network


def load_networks(weights: Sequence[Path], enhance: Path | None = None) -> Networks:
    """Load every generator of some folders, and an RRDBNet.

    Args:
        weights: Run folders, folders of published weight files or folders of such, or single
            files whose published names tell the direction.
        enhance: RRDBNet file or run; by default the first that lies in one of the folders.

    Raises:
        InputError: no generator in one of them, or unusable weights.
    """
    choices: dict[str, dict[str, Network]] = {}
    for path in weights:
        places = list(_find_generators(path))
        if not places:
            raise InputError(
                f"no generator in {path}: expected {' or '.join(GENERATOR_FILES.values())} there; "
                "check --weights"
            )
        for place, direction in places:
            network = _load(place, direction)
            name = _choose_name(network, place, direction, choices)
            choices.setdefault(name, {})[direction] = network
    inside = (find_in_folder(path, RRDBNET_FILE) for path in weights if path.is_dir())
    enhance = enhance or next((file for file in inside if file), None)
    return Networks(choices, open_predictor("enhance", enhance) if enhance else None)


def _find_generators(path: Path) -> Iterator[tuple[Path, str]]:
    """(weights, direction) of a file, of a folder, and of the folders in it."""
    if not path.is_dir():
        told = {name: direction for direction, name in GENERATOR_FILES.items()}
        file = find_weight_file(path)
        if file.name in told:
            yield file, told[file.name]
        return
    inside = sorted(p for p in path.iterdir() if p.is_dir() and p.name != "best")
    for folder in (path, *inside):
        for direction, name in GENERATOR_FILES.items():
            if find_in_folder(folder, name):
                yield folder, direction


def _load(weights: Path, direction: str) -> Network:
    """One generator with what belongs to it."""
    translator = open_predictor("translate", weights, direction=direction)
    translator.error_map = read_calibration(weights, direction)
    statistics = read_statistics(weights, direction.split("2")[0])
    return Network(translator, direction, digest_weights(weights, direction), statistics)


def _choose_name(network: Network, place: Path, direction: str, taken: dict[str, Any]) -> str:
    """Kind and folder; the whole path where that name is taken."""
    kind = "VAE-CycleGAN" if network.translator.latent else "CycleGAN"
    folder = place if place.is_dir() else place.parent
    name = f"{kind} · {folder.resolve().name}"
    return f"{kind} · {place}" if direction in taken.get(name, {}) else name
