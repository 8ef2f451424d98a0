"""Look for what is wrong with a set of images: `python -m keras_vaegan.audit --data DIR`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vaegan.commands.shell import CommandOptions, run
from keras_vaegan.errors import InputError

if TYPE_CHECKING:
    from keras_vaegan.evaluation.audit import Audit

FIRST = 5  # of each list that is printed
AUDIT_FILE = "audit.json"
SHEET_FILE = "audit.png"


@dataclass(frozen=True, kw_only=True)
class AuditOptions(CommandOptions):
    """Options of `audit`."""

    data: Path
    """Folder that holds trainA (CT), trainB (MRI), testA and testB, or a parent of it."""
    out: Path | None = None
    """Folder for audit.json (all that was found) and audit.png (a contact sheet)."""


def audit(options: AuditOptions) -> int:
    """Find copies, leaks between train and test, wrong modalities and unusable files.

    Raises:
        InputError: no images, or a folder that cannot be written to.
    """
    if options.out is not None and options.out.exists() and not options.out.is_dir():
        raise InputError(f"--out {options.out} is a file: expected a folder; choose another")
    from keras_vaegan.evaluation.audit import audit_images  # its libraries are slow to import

    found = audit_images(options.data)
    print(format_audit(found))
    if options.out is not None:
        from keras_vaegan.data.image import write_image
        from keras_vaegan.evaluation.audit_sheet import draw_contact_sheet
        from keras_vaegan.files import write_json

        write_json(options.out / AUDIT_FILE, found.to_json())
        write_image(options.out / SHEET_FILE, draw_contact_sheet(found))
        print(f"wrote {options.out / AUDIT_FILE} and {options.out / SHEET_FILE}")
    return 0


def format_audit(audit: Audit) -> str:
    """An audit as text: a count of each kind, and the first few."""
    lines = [audit.root]
    for name, folder in audit.folders.items():
        sizes = folder["sizes"]
        usual = next(iter(sizes), None)
        told = f"most often {usual} ({sizes[usual]})" if usual else "none readable"
        lines.append(f"  {name}: {folder['images']} images, {len(sizes)} sizes, {told}")
    if audit.missing:
        lines.append(f"  missing or without images: {', '.join(audit.missing)}")
    near, strict = audit.thresholds["near"], audit.thresholds["strict"]
    wrong = audit.wrong_modality
    modality = "images that may be of the other modality"
    if wrong["skipped"]:
        lines.append(f"{modality}: not looked for, {wrong['skipped']}")
    sections = {
        "unreadable files": [u["reason"] for u in audit.unreadable],
        "groups of identical files": [" = ".join(group) for group in audit.identical],
        f"pairs of near duplicates (correlation at least {near})": [
            f"{p['first']} {_join(p)} {p['second']}  {p['correlation']:.4f}"
            for p in audit.near_duplicates
        ],
        f"test images that leak from training (same bytes, or at least {strict})": [
            f"{leak['test']} {'=' if leak['identical'] else _join(leak)} {leak['train']}"
            f"  {leak['correlation']:.4f}" for leak in audit.leaks
        ],
        f"{modality} (probability)": [
            f"{s['file']}  {s['probability']:.2f}" for s in wrong["suspects"]
        ],
        "images of another size than their folder's": [
            f"{o['file']} is {o['size']}, most are {o['usual']}" for o in audit.odd_sizes
        ],
        "blank images": audit.blank,
        "images with marks like burnt-in text": [
            f"{t['file']}  {t['letters']} marks" for t in audit.text
        ],
    }  # fmt: skip
    if wrong["skipped"]:
        del sections[f"{modality} (probability)"]
    for title, items in sections.items():
        lines.append(f"{title}: {len(items)}")
        lines += [f"  {item}" for item in items[:FIRST]]
        if len(items) > FIRST:
            lines.append(f"  ... and {len(items) - FIRST} more")
    return "\n".join(lines)


def _join(pair: dict[str, Any]) -> str:
    """The sign between two names."""
    return "mirrors" if pair["mirrored"] else "~"


main = partial(run, audit, prog="python -m keras_vaegan.audit")
