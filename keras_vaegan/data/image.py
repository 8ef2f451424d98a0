"""Image files: read any common one whole or refuse it, write without losing bit depth."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from keras_vaegan.data.image_header import read_header
from keras_vaegan.data.limits import check_pixels
from keras_vaegan.errors import InputError
from keras_vaegan.files import atomic_path

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
_SIGNATURES = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "TIFF": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
    "BMP": (b"BM",),
}
MAX_SCANNED = 2**30  # pixels of a JPEG, each counted in every one of its scans
_BLOCK = 2**22  # pixels
_LUMA = np.array([0.299, 0.587, 0.114])


def list_images(folder: str | Path) -> list[Path]:
    """List a folder's image files by name, subfolders not included.

    Raises:
        InputError: the folder is missing or holds no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist: expected a folder of images")
    paths = select_images(folder.iterdir())
    if not paths:
        raise InputError(f"no images in {folder}: expected files ending in {', '.join(SUFFIXES)}")
    return paths


def select_images(paths: Iterable[Path]) -> list[Path]:
    """Those that an image's suffix ends, hidden ones apart; sorted."""
    return sorted(p for p in paths if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def read_image(path: str | Path) -> np.ndarray:
    """Read one image file as it is stored.

    The kind is told by the file's content, not its name. A palette is expanded, alpha is
    composited on black, an orientation tag is ignored.

    Args:
        path: PNG, JPEG, TIFF or BMP file.

    Returns:
        (H, W) or (H, W, 3) in RGB order; uint8, uint16, or float32 (TIFF, finite).

    Raises:
        InputError: missing, empty, truncated, not an image, of more pixels than any scan has, or
            with values that are not finite.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    _quieten_decoders()
    _check_whole(path, content)
    try:
        image = cv2.imdecode(np.frombuffer(content, "uint8"), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None or image.size == 0:
        raise InputError(f"{path} cannot be decoded: expected a whole image; replace or remove it")
    return _to_gray_or_rgb(_to_known_dtype(image, path))


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write an image, whole or not at all.

    Args:
        path: Its suffix chooses the format; JPEG and BMP take uint8 only, float32 needs TIFF.
        image: (H, W), (H, W, 1) or (H, W, 3) RGB; uint8, uint16 or float32.

    Raises:
        InputError: unknown suffix, a type the format cannot hold, or an unwritable place.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: expected a name ending in {', '.join(SUFFIXES)}")
    allowed = {".png": ("uint8", "uint16"), ".tif": ("uint8", "uint16", "float32")}
    kinds = allowed.get(".tif" if suffix == ".tiff" else suffix, ("uint8",))
    if image.dtype.name not in kinds:
        raise InputError(
            f"{path} cannot hold {image.dtype.name}: {suffix} takes {', '.join(kinds)}; choose PNG "
            "or TIFF"
        )
    if image.ndim == 3:
        image = image[..., 0] if image.shape[-1] == 1 else image[..., ::-1]
    parameters = [cv2.IMWRITE_JPEG_QUALITY, 95] if suffix in (".jpg", ".jpeg") else []
    _, content = cv2.imencode(suffix, np.ascontiguousarray(image), parameters)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.tobytes())


def to_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Bring an image to 1 or 3 channels.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3), any real dtype.
        channels: 1 takes the luma (ITU-R BT.601), 3 repeats a gray channel.

    Returns:
        (H, W, channels) of the same dtype.
    """
    if image.ndim == 2:
        image = image[..., None]
    if image.shape[-1] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=-1)
    gray = image.astype("float64") @ _LUMA
    if image.dtype.kind == "u":
        gray = np.round(gray)
    return gray[..., None].astype(image.dtype)


def find_limits(image: np.ndarray) -> tuple[float, float]:
    """The values that become 0 and 1: of an integer type its own, of floats the image's own.

    Raises:
        InputError: a float image holds NaN or infinity.
    """
    if image.dtype.kind == "u":
        return 0.0, float(np.iinfo(image.dtype).max)
    _check_finite(image)
    return float(image.min()), float(image.max())


def image_to_unit(image: np.ndarray, limits: tuple[float, float] | None = None) -> np.ndarray:
    """Bring an image to [0, 1].

    Args:
        image: uint8 or uint16, mapped by the type's range; or float, mapped by the limits.
        limits: Of `find_limits`; without them a float image passes unchanged.

    Returns:
        The same shape, float32.

    Raises:
        InputError: a float image holds NaN or infinity.
    """
    if image.dtype.kind == "u":
        return image.astype("float32") / np.iinfo(image.dtype).max
    _check_finite(image)
    low, high = limits or (0.0, 1.0)
    return ((image - low) / max(high - low, 1e-12)).astype("float32")


def unit_to_image(
    unit: np.ndarray, dtype: str | np.dtype, limits: tuple[float, float] = (0.0, 1.0)
) -> np.ndarray:
    """Undo `image_to_unit`.

    Args:
        unit: Any shape, [0, 1].
        dtype: uint8 or uint16 (clipped and rounded), or a float type.
        limits: The values of a float image that 0 and 1 stand for.
    """
    dtype = np.dtype(dtype)
    if dtype.kind == "u":
        return np.round(np.clip(unit, 0, 1) * np.iinfo(dtype).max).astype(dtype)
    return (unit * (limits[1] - limits[0]) + limits[0]).astype(dtype)


def round_to_levels(unit: np.ndarray, top: int = 255) -> np.ndarray:
    """[0, 1], clipped, as a file of `top` + 1 levels stores it; of the same float type."""
    return np.round(np.clip(unit, 0, 1) * top) / top


def _check_finite(image: np.ndarray, name: str = "image") -> None:
    """Refuse NaN and infinity."""
    if not np.isfinite(image).all():
        raise InputError(f"{name} holds NaN or infinite values: expected finite ones; repair it")


def _check_whole(path: Path, content: bytes) -> None:
    """Refuse empty, foreign and cut files that a decoder might half accept."""
    if not content:
        raise InputError(f"{path} is empty (0 bytes): expected an image; replace or remove it")
    kind = next((k for k, marks in _SIGNATURES.items() if content.startswith(marks)), None)
    if kind is None:
        raise InputError(
            f"{path} is not an image (starts with {content[:8]!r}): expected PNG, JPEG, TIFF or "
            "BMP content; remove it"
        )
    header = read_header(content, kind)
    if header is not None:
        check_pixels(path, *header)
    if header is None or not _is_whole(content, kind, header[0] * header[1]):
        raise InputError(
            f"{path} is truncated or damaged: expected a whole {kind} file; replace or remove it"
        )


def _is_whole(content: bytes, kind: str, pixels: int) -> bool:
    """Whether Pillow finds all of a file: OpenCV fills what a PNG or a JPEG lacks with gray."""
    try:
        if kind == "PNG":
            PngImageFile(io.BytesIO(content)).verify()
        elif kind == "JPEG":
            if pixels * content.count(b"\xff\xda") > MAX_SCANNED:
                return False
            image = JpegImageFile(io.BytesIO(content))
            image.draft(None, (1, 1))  # an eighth of the size: all bytes read, few pixels made
            image.load()
    except Exception:  # a damaged file may raise anything
        return False
    return kind != "BMP" or len(content) >= int.from_bytes(content[2:6], "little")


def _to_known_dtype(image: np.ndarray, path: Path) -> np.ndarray:
    """uint8, uint16 and float32 pass; other types are widened or shifted into them."""
    if image.dtype in (np.uint8, np.uint16):
        return image
    if image.dtype == np.int8:
        return (image.astype("int16") + 128).astype("uint8")
    image = image.astype("float32")
    _check_finite(image, str(path))
    return image


def _to_gray_or_rgb(image: np.ndarray) -> np.ndarray:
    """OpenCV's gray, gray-alpha, BGR or BGRA -> (H, W) or (H, W, 3) RGB on black."""
    if image.ndim == 2:
        return image
    if image.shape[-1] in (2, 4):
        image = _composite(image)
    if image.shape[-1] == 1:
        return image[..., 0]
    return np.ascontiguousarray(image[..., ::-1])


def _composite(image: np.ndarray) -> np.ndarray:
    """(H, W, C + alpha) -> (H, W, C) on black, a block of rows at a time: it is done in float64."""
    full = 1.0 if image.dtype.kind == "f" else np.iinfo(image.dtype).max
    result = np.empty((*image.shape[:2], image.shape[2] - 1), image.dtype)
    step = max(1, _BLOCK // image.shape[1])
    for start in range(0, len(image), step):
        rows = image[start : start + step]
        values = rows[..., :-1] * (rows[..., -1:].astype("float64") / full)
        result[start : start + step] = np.round(values) if image.dtype.kind == "u" else values
    return result


def _quieten_decoders() -> None:
    """Keep the decoders' own messages off the terminal: the one line that is raised says it."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging = getattr(cv2.utils, "logging", None)
    if logging is not None:
        logging.setLogLevel(logging.LOG_LEVEL_SILENT)
