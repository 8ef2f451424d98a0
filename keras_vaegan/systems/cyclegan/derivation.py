"""What a translated volume says of itself in its file's header."""

from __future__ import annotations

import dataclasses

from keras_vaegan import __version__
from keras_vaegan.data.volume_files import Derivation
from keras_vaegan.systems.cyclegan.config import OTHER
from keras_vaegan.systems.cyclegan.translator import Translator

MODALITIES = {"mri": "MR", "ct": "CT"}


def describe_translation(
    translator: Translator, domain: str, digest: str, anonymize: bool = False
) -> Derivation:
    """Describe a translation.

    Args:
        translator: What made it.
        domain: Of the source: "mri" or "ct".
        digest: First digits of the SHA-256 of the translator's weight file.
        anonymize: Leave out what tells the patient and the study.
    """
    to = OTHER[domain]
    return Derivation(
        MODALITIES[to],
        f"synthetic {to.upper()}",
        f"Synthetic {to.upper()} generated from {domain.upper()} by keras_vaegan {__version__}, "
        f"weights {digest}; not acquired, not for diagnosis",
        window=translator.data.ct_window if to == "ct" else None,
        anonymize=anonymize,
    )


def describe_deviation(made: Derivation, calibrated: bool) -> Derivation:
    """Describe the deviation that belongs to a translation.

    Args:
        made: The translation.
        calibrated: Whether it is the error to expect, instead of the latent samples'.
    """
    told, of = ("expected", "the error to expect") if calibrated else ("sample", "latent samples")
    return dataclasses.replace(
        made,
        title=f"{made.title}, {told} deviation",
        text=f"Standard deviation of {of} of: {made.text}",
        number=1,
        window=None,
        fine=True,
    )
