"""What the page does when its user does something; it knows no page."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from keras_vaegan.app.examples import EXAMPLES, write_example
from keras_vaegan.app.limits import check_upload_size
from keras_vaegan.app.networks import Networks
from keras_vaegan.app.sessions import Session, Sessions
from keras_vaegan.app.sources import Source, read_source
from keras_vaegan.app.work import Answer, Report, Request, preview, translate
from keras_vaegan.errors import InputError

NOTHING_LOADED = "no input: expected an image or a volume; drop one, or take an example"
STOPPED = "stopped: the input was changed or the translation was ended; translate again"


@dataclass(frozen=True)
class Order:
    """What the user chose.

    Attributes:
        network, direction: Of `Networks.choices`.
        samples: Latents to draw.
        enhance: Enlarge an image's translation.
        anonymize: Leave the patient out of a volume's file.
    """

    network: str
    direction: str
    samples: int = 0
    enhance: bool = False
    anonymize: bool = False


@dataclass(frozen=True)
class Screen:
    """What is to be seen.

    Attributes:
        title: Name and kind of the input, empty without one.
        error, warnings, notes: Lines for the user.
        slices: Pictures of the input; `index` is the one shown.
        source, generated, overlay: Pictures of it, files, or None.
        names: What input and translation are called.
        scale: The deviation that the overlay's brightest colour is; `meaning` says of what.
        downloads: The translation's file, and its deviation's.
        domain: What the input says it is, "mri" or "ct"; or None.
        series: Labels of a zip's series by UID; `chosen` is the one loaded.
        volume: Whether the input is a volume.
    """

    title: str = ""
    error: str = ""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    slices: int = 1
    index: int = 0
    source: str | None = None
    generated: str | None = None
    overlay: str | None = None
    names: tuple[str, str] = ("Input", "")
    scale: str = ""
    meaning: str = ""
    downloads: tuple[str, ...] = ()
    domain: str | None = None
    series: dict[str, str] = field(default_factory=dict)
    chosen: str = ""
    volume: bool = False


class Desk:
    """Networks and sessions, and every action of a user, told by a key, on them.

    No action raises: the screen says what is wrong, and the terminal has the traceback of a bug.

    Args:
        networks: The networks that are offered.
        root: An empty folder for all that users load and get.
    """

    def __init__(self, networks: Networks, root: Path) -> None:
        self.networks, self.sessions = networks, Sessions(root)

    def open_file(self, key: str, upload: Path) -> Screen:
        """Take a file that was uploaded; it is moved."""

        def read(place: Path) -> Source:
            path = place / upload.name
            if upload.is_file():
                upload.replace(path)
            return read_source(path)

        return self._open(key, read)

    def refuse_file(self, key: str, name: str, size: int) -> Screen:
        """Say that a file of so many bytes is too large; it was not sent."""
        try:
            check_upload_size(name, size)
        except InputError as error:
            return self.show(key, error=str(error))
        return self.show(key)

    def open_example(self, key: str, label: str) -> Screen:
        """Take one of `EXAMPLES`."""

        def read(place: Path) -> Source:
            source = read_source(write_example(label, place))
            return replace(source, domain=EXAMPLES[label][1])

        return self._open(key, read)

    def choose_series(self, key: str, uid: str) -> Screen:
        """Take another series of the zip."""
        session = self.sessions.get(key)
        source = session.source
        if source is None or uid == source.chosen:
            return self.show(key)
        session.run = session.answer = None
        try:
            session.source = read_source(source.path, uid)
            session.views = preview(session.source)
        except Exception as error:
            return self.show(key, error=_tell(error, session))
        return self.show(key)

    def translate(
        self, key: str, order: Order, report: Report = lambda done, total: None
    ) -> Screen:
        """Translate what is loaded; returns when that is done, or stopped."""
        session = self.sessions.get(key)
        source, run = session.source, object()
        session.run = run
        if source is None:
            return self.show(key, error=NOTHING_LOADED)

        def check(done: int, total: int) -> None:
            if session.run is not run:
                raise InputError(STOPPED)
            report(done, total)

        enhancer = self.networks.enhancer if order.enhance and source.image is not None else None
        try:
            network = self.networks.get(order.network, order.direction)
            samples = order.samples if network.translator.latent else 0
            request = Request(network, samples, enhancer, order.anonymize)
            with self.networks.lock:
                check(0, 1)
                place = session.make_run_place()
                answer = translate(source, request, place, check)
                check(1, 1)
                session.take(answer, place)
        except Exception as error:
            return self._stop_at(key, session, _tell(error, session))
        return self.show(key)

    def stop(self, key: str) -> None:
        """End the translation that goes on, after its batch."""
        self.sessions.get(key).run = None

    def show(self, key: str, index: int | None = None, error: str = "") -> Screen:
        """What is loaded, and what has been made of it.

        Args:
            key: The user.
            index: Slice to show; the middle one where none is given.
            error: What went wrong.
        """
        session = self.sessions.get(key)
        source, views = session.source, session.views
        if source is None or views is None:
            return Screen(error=error)
        index = views.count // 2 if index is None else max(0, min(index, views.count - 1))
        answer = session.answer
        pictures = {"source": views.draw_source}
        if answer is not None:
            pictures["generated"] = views.draw_generated
            pictures |= {"overlay": views.draw_overlay} if views.spread is not None else {}
        files = {name: session.save_picture(draw(index)) for name, draw in pictures.items()}
        return Screen(
            title=f"{source.path.name}: {source.describe()}",
            error=error,
            warnings=answer.warnings if answer else (),
            notes=_list_notes(source, answer),
            slices=views.count,
            index=index,
            source=files["source"],
            generated=files.get("generated"),
            overlay=files.get("overlay"),
            names=answer.names if answer else ("Input", ""),
            scale=answer.top if answer else "",
            meaning=answer.meaning if answer else "",
            downloads=_list_files(answer),
            domain=source.domain,
            series={uid: series.label for uid, series in source.series.items()},
            chosen=source.chosen,
            volume=source.stored is not None,
        )

    def close(self, key: str) -> None:
        """Forget a user and all that they loaded."""
        self.sessions.close(key)

    def _open(self, key: str, read: Callable[[Path], Source]) -> Screen:
        """Start a session over with an input."""
        session = self.sessions.get(key)
        session.start_over()
        place = session.make_place("input")
        try:
            source = read(place)
            session.views = preview(source)
            session.source = source
        except Exception as error:
            text = _tell(error, session)
            session.start_over()
            return Screen(error=text)
        return self.show(key)

    def _stop_at(self, key: str, session: Session, error: str) -> Screen:
        """Show an error of a translation, unless its session has gone."""
        if session.closed:
            session.close()
            return Screen(error=STOPPED)
        return self.show(key, error=error)


def _list_notes(source: Source, answer: Answer | None) -> tuple[str, ...]:
    """What may be told of an input and of its translation."""
    told = source.stored.notes if source.stored else ()
    return (*source.notes, *told, *(answer.notes if answer else ()))


def _list_files(answer: Answer | None) -> tuple[str, ...]:
    """What can be downloaded."""
    files = (answer.file, answer.deviation_file) if answer else ()
    return tuple(str(file) for file in files if file is not None)


def _tell(error: Exception, session: Session) -> str:
    """An error as the page's user understands it: without this machine's folders."""
    if not isinstance(error, InputError):
        traceback.print_exception(error)
        return f"this failed ({type(error).__name__}): the server's terminal says more"
    text = re.sub(rf"{re.escape(str(session.folder))}/\w+/", "", str(error))
    return text.replace(" --", " ")
