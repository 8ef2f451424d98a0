"""Who uses the page: what each has loaded, in a folder that goes when they go."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np

from keras_vaegan.app.sources import Source
from keras_vaegan.app.views import Views
from keras_vaegan.app.work import Answer
from keras_vaegan.data.image import write_image

MOST_SESSIONS = 8  # whose inputs are held in memory; the one unused longest goes first
PICTURES_KEPT = 30


class Session:
    """One user's input and its translation.

    Args:
        folder: Everything of the session that is on disk.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source: Source | None = None
        self.views: Views | None = None
        self.answer: Answer | None = None
        self.run: object | None = None  # of the translation that goes on; another one ends it
        self.closed = False
        self._pictures = 0
        self._runs = 0
        self._shown: Path | None = None  # where the answer's files are

    def start_over(self) -> None:
        """Forget the input and all that came of it."""
        self.source = self.views = self.answer = self.run = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def make_place(self, name: str) -> Path:
        """An empty folder in the session's; what an earlier one of the name held is gone."""
        place = self.folder / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        return place

    def make_run_place(self) -> Path:
        """An empty folder for a translation's files, beside those of the answer that is shown.

        Those of translations that came to nothing go: only one goes on at a time.
        """
        self._drop_runs()
        self._runs += 1
        return self.make_place(f"run_{self._runs}")

    def take(self, answer: Answer, place: Path) -> None:
        """Take a translation whose files are in `place` for the answer."""
        self.answer, self.views, self._shown = answer, answer.views, place
        self._drop_runs()

    def _drop_runs(self) -> None:
        for place in self.folder.glob("run_*"):
            if place != self._shown:
                shutil.rmtree(place, ignore_errors=True)

    def save_picture(self, picture: np.ndarray) -> str:
        """Write a picture for the browser, (H, W, 3) uint8; the page shows few: old ones go."""
        self._pictures += 1
        folder = self.folder / "pictures"
        path = folder / f"{self._pictures}.png"
        write_image(path, picture)
        (folder / f"{self._pictures - PICTURES_KEPT}.png").unlink(missing_ok=True)
        return str(path)

    def close(self) -> None:
        """Forget everything, in memory and on disk; a translation that goes on ends soon."""
        self.closed = True
        self.start_over()


class Sessions:
    """The sessions, each in a folder of its own.

    Args:
        root: Folder of all of them; its name must be known to nobody.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> Session:
        """A user's session; a new one where there is none."""
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                session = Session(self.root / f"session-{secrets.token_hex(16)}")
                self._sessions[key] = session
            self._sessions.move_to_end(key)
            crowded = len(self._sessions) > MOST_SESSIONS
            oldest = self._sessions.popitem(last=False)[1] if crowded else None
        if oldest is not None:
            oldest.close()
        return session

    def close(self, key: str) -> None:
        """End a user's session, if there is one."""
        with self._lock:
            session = self._sessions.pop(key, None)
        if session is not None:
            session.close()

    def close_all(self) -> None:
        """End every session."""
        for key in list(self._sessions):
            self.close(key)
