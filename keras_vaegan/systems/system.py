"""What every system answers. Commands, the run loop and the exports know no more of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from keras_vaegan.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from keras_vaegan.evaluation.report.content import Content
    from keras_vaegan.interop.keras_h5.load import Network
    from keras_vaegan.systems.portable import PortableGraph
    from keras_vaegan.training.callbacks import PlateauRate
    from keras_vaegan.training.device_store import DeviceStore
    from keras_vaegan.training.trainer import Trainer


class OtherNetworkError(InputError):
    """Weights of a network that a system has no use for; `config` tells which network."""

    def __init__(self, message: str, config: Any) -> None:
        super().__init__(message)
        self.config = config


@dataclass(frozen=True)
class Validation:
    """What a validation in the middle of a run gave.

    Attributes:
        row: Columns of history.csv; "val_score" (higher is better) chooses `best/`. Empty where
            there is nothing to validate on.
        picture: Sample grid, (H, W, 3) uint8, or None.
    """

    row: dict[str, float] = field(default_factory=dict)
    picture: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """The data of one run, read and split.

    Attributes:
        one_pass: Steps of one pass over the training samples.
        description: What is trained on, in one phrase, such as "868 MRI and 868 CT images".
        sources: What its files are, by part, as `describe_files` gives it.
        plateau: What lowers the learning rate where validations stop to improve, or None.
    """

    one_pass: int
    description: str
    sources: dict[str, dict] = field(default_factory=dict)
    plateau: PlateauRate | None = None

    def complete(self, config: Any) -> Any:
        """A run's config with what its data taught, if anything: the weight files carry it."""
        return config

    def read_batch(self, step: int) -> tuple[np.ndarray, ...]:
        """The global batch of a step: a function of the run's seed and the step alone.

        Any thread may call it.
        """
        raise NotImplementedError

    def read_places(self, step: int) -> tuple[np.ndarray, ...]:
        """The same batch as places in `make_store`'s images, where there is such a store."""
        raise NotImplementedError

    def make_store(self) -> DeviceStore:
        """Hold the decoded images in the device's memory.

        Raises:
            InputError: the samples are no whole images, or do not fit.
        """
        raise InputError(
            "--device-data given with this system: expected a CycleGAN's preset; drop it"
        )

    def validate(self, trainer: Any) -> Validation:
        """Validate the trainer's current weights on what was held back."""
        raise NotImplementedError

    def write_records(self, out: Path, resume: bool) -> None:
        """Write into the run folder what it keeps of the data beside the config, if anything.

        What a run that saved nothing left there is overwritten, unless this is a resume.
        """


@dataclass(frozen=True)
class Evaluation:
    """The result of evaluating trained weights.

    Attributes:
        metrics: JSON-ready figures with their definitions.
        rows: One dict an image or case, all with the same keys.
        pictures: Caption -> (H, W, 3) uint8.
        summary: The figures that decide, a line each.
        content: What the report says of them.
    """

    metrics: dict
    rows: list[dict]
    pictures: dict[str, np.ndarray]
    summary: list[str]
    content: Content


@dataclass(frozen=True)
class EvaluationOptions:
    """How trained weights are evaluated.

    Attributes:
        protocol: Name of the metric definitions.
        limit: Images per domain, or cases, at most; None for all.
        seed: Seed of whatever is drawn.
        keep_leaks: Keep test images that are among the training images too.
        enhance: Super-resolution of (N, H, W, C) in [0, 1] that keeps the shape, or None.
    """

    protocol: str = "unit"
    limit: int | None = None
    seed: int = 0
    keep_leaks: bool = False
    enhance: Callable[[np.ndarray], np.ndarray] | None = None


@dataclass(frozen=True)
class Exportable:
    """A network ready to be written for other programs.

    Attributes:
        file: The weight file that it came from.
        module: The graph, a `tf.Module`; `make_signatures()` gives its concrete functions.
        whole: The same, preparation inside, for other runtimes: a graph or several.
        square: The network alone, at one size.
        title: What it is, for the model card.
        purpose: What it does, in one sentence.
        intensities: How values are mapped on the way in and out.
        caveats: What a user must know of its results.
        config: The network's config, or None for another code's architecture.
        typed_values: How values of the types that `module` takes are mapped.
    """

    file: Path
    module: Any
    whole: tuple[PortableGraph, ...]
    square: PortableGraph
    title: str
    purpose: str
    intensities: str
    caveats: tuple[str, ...]
    config: Any = None
    typed_values: str = ""


class System:
    """One system: a network or several, how they are trained, used, evaluated and exported.

    Attributes:
        config_type: Config of its runs.
        network_types: Configs of the networks that it is used with.
        presets: Functions without arguments, each a named config; its docstring is its record.
        command: The command that runs its networks.
        weight_files: Name of the weight file of each role, in a run folder and in `best/`.
        options: The options of `train` that only some systems have, and the field of the run's
            config that each sets, such as {"align": "data.align"}.
        takes_enhancer: Whether `evaluate` also evaluates images after a super-resolution.
    """

    config_type: ClassVar[type]
    network_types: ClassVar[tuple[type, ...]]
    presets: ClassVar[tuple[Callable[[], Any], ...]]
    command: ClassVar[str]
    weight_files: ClassVar[Mapping[str, str]]
    options: ClassVar[Mapping[str, str]] = {}
    takes_enhancer: ClassVar[bool] = False

    def build_trainer(self, config: Any) -> Trainer:
        """Build and compile the trainer of a run."""
        raise NotImplementedError

    def skip_start(self, config: Any) -> Any:
        """A run's config without what only serves to get from random weights to sensible ones."""
        return config

    def load_data(self, config: Any, data: Path, out: Path, resume: bool) -> TrainingData:
        """Read and split a run's data.

        Raises:
            InputError: unusable data, or on a resume other data than the run's.
        """
        raise NotImplementedError

    def list_stages(self, config: Any) -> list[tuple[str, int]]:
        """(name, last step) of the stages of a run, each of which compiles its own step."""
        return [("", config.steps)]

    def evaluate(self, weights: Path, data: Path, options: EvaluationOptions) -> Evaluation:
        """Evaluate the weights of a folder on test data.

        Args:
            weights: Run folder, or folder of published weight files.
            data: Folder of test data.
            options: How; those that a system has no use for it refuses.

        Raises:
            InputError: bad weights, data or options.
        """
        raise NotImplementedError

    @classmethod
    def check_network(cls, network: Network) -> None:
        """Refuse a network that this system is not used with.

        Raises:
            OtherNetworkError: it is another's.
        """
        if not isinstance(network.config, cls.network_types):
            name = type(network.config).__name__
            held = f"network of {name}" if network.config else "model of other code"
            expected = " or ".join(kind.__name__ for kind in cls.network_types)
            raise OtherNetworkError(
                f"{network.file} holds a {held}: expected {expected}; choose another file",
                network.config,
            )

    def open_predictor(self, path: str | Path, **options: Any) -> Any:
        """Load what the system's command runs.

        Args:
            path: Run folder, folder of published weight files, or weight file.
            options: As the `load` of the system's own class.

        Returns:
            A `Translator`, `Synthesizer` or `Enhancer`.

        Raises:
            InputError: no weights there, or another system's.
        """
        raise NotImplementedError

    def open_export(self, network: Network, tile: int) -> Exportable:
        """A network together with its preparation and its way back, as a graph.

        Args:
            network: As its weight file tells it.
            tile: Tile of an enlarging network in input pixels; 0 for the whole image at once.

        Raises:
            InputError: another system's network, or a tile that does not fit.
        """
        raise NotImplementedError
