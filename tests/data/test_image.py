"""Reading and writing image files, whole or not at all."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from keras_vaegan.data.image import (
    find_limits,
    image_to_unit,
    list_images,
    read_image,
    round_to_levels,
    to_channels,
    unit_to_image,
    write_image,
)
from keras_vaegan.errors import InputError


def make_image(shape, dtype="uint8", seed=0):
    random = np.random.default_rng(seed)
    if dtype == "float32":
        return random.uniform(-3, 700, shape).astype(dtype)
    return random.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def smooth_image(shape=(64, 80)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return ((rows + 2 * columns) % 200).astype("uint8")


def png_bytes(width, height, depth, colour, rows, extra=b""):
    """A PNG written by hand: an oracle that shares no code with the reader."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("name", "dtype", "shape"),
    [
        ("a.png", "uint8", (33, 47)),
        ("a.png", "uint16", (33, 47)),
        ("a.png", "uint8", (20, 31, 3)),
        ("a.png", "uint16", (20, 31, 3)),
        ("a.tif", "uint16", (33, 47, 3)),
        ("a.tiff", "float32", (33, 47)),
        ("a.bmp", "uint8", (33, 47, 3)),
        ("A.PNG", "uint8", (33, 47)),
    ],
)
def test_lossless_formats_round_trip(tmp_path, name, dtype, shape):
    image = make_image(shape, dtype)
    write_image(tmp_path / name, image)
    back = read_image(tmp_path / name)
    assert back.dtype == image.dtype
    np.testing.assert_array_equal(back, image)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_one_channel_axis_is_written_as_gray(tmp_path):
    image = make_image((17, 19, 1))
    write_image(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image[..., 0])


def test_jpeg_is_close_and_keeps_rgb_order(tmp_path):
    image = np.zeros((32, 32, 3), "uint8")
    image[..., 0] = 200
    write_image(tmp_path / "a.jpg", image)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - image).max() <= 4


def test_palette_is_expanded(tmp_path):
    colours = bytes([10, 20, 30, 200, 100, 50])
    body = b"PLTE" + colours
    palette = struct.pack(">I", 6) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "p.png").write_bytes(png_bytes(2, 1, 8, 3, [b"\x01\x00"], palette))
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), [[[200, 100, 50], [10, 20, 30]]])


def test_alpha_is_composited_on_black(tmp_path):
    (tmp_path / "a.png").write_bytes(
        png_bytes(2, 1, 8, 6, [bytes([200, 100, 50, 255, 200, 100, 50, 128])])
    )
    expected = [[[200, 100, 50], [round(c * 128 / 255) for c in (200, 100, 50)]]]
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)


def test_gray_alpha_16_bit(tmp_path):
    pixels = struct.pack(">4H", 60000, 65535, 60000, 0)
    (tmp_path / "a.png").write_bytes(png_bytes(2, 1, 16, 4, [pixels]))
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint16
    assert to_channels(image, 1)[0, :, 0].tolist() == [60000, 0]


def test_orientation_tag_is_ignored(tmp_path):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    content = cv2.imencode(".jpg", smooth_image((40, 64)))[1].tobytes()
    (tmp_path / "a.jpg").write_bytes(content[:2] + segment + content[2:])
    assert read_image(tmp_path / "a.jpg").shape == (40, 64)


def test_the_content_decides_not_the_name(tmp_path):
    write_image(tmp_path / "a.png", smooth_image())
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), smooth_image())


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_truncated_file_is_refused_by_name(tmp_path, capfd, suffix, share):
    content = cv2.imencode(suffix, smooth_image())[1].tobytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=f"cut{suffix}") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_truncated_jpeg_with_a_whole_thumbnail_is_refused(tmp_path):
    thumbnail = cv2.imencode(".jpg", smooth_image((8, 8)))[1].tobytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    content = cv2.imencode(".jpg", smooth_image())[1].tobytes()
    (tmp_path / "t.jpg").write_bytes(content[:2] + segment + content[2:-200])
    with pytest.raises(InputError, match="truncated"):
        read_image(tmp_path / "t.jpg")


def test_png_with_a_flipped_byte_is_refused(tmp_path):
    content = bytearray(cv2.imencode(".png", smooth_image())[1].tobytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "f.png").write_bytes(content)
    with pytest.raises(InputError, match="f.png is truncated or damaged"):
        read_image(tmp_path / "f.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_bytes_after_the_image_do_not_matter(tmp_path, suffix):
    content = cv2.imencode(suffix, smooth_image())[1].tobytes()
    (tmp_path / f"a{suffix}").write_bytes(content + b"\0" * 9000)
    assert read_image(tmp_path / f"a{suffix}").shape == (64, 80)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "0 bytes"), (b"just some text\n", "not an image"), (b"\x89PNG\r\n\x1a\n", "truncated")],
)
def test_empty_text_and_bare_signature_are_refused(tmp_path, content, reason):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(InputError, match=f"x.png .*{reason}"):
        read_image(tmp_path / "x.png")


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="absent.png"):
        read_image(tmp_path / "absent.png")
    (tmp_path / "d.png").mkdir()
    with pytest.raises(InputError, match="d.png"):
        read_image(tmp_path / "d.png")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_float_tiff_that_is_not_finite_is_refused(tmp_path, value):
    image = make_image((20, 20), "float32")
    image[3, 4] = value
    write_image(tmp_path / "n.tif", image)
    with pytest.raises(InputError, match="n.tif holds NaN or infinite"):
        read_image(tmp_path / "n.tif")
    with pytest.raises(InputError, match="NaN or infinite"):
        image_to_unit(image)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("a.jpg", "uint16"), ("a.bmp", "uint16"), ("a.png", "float32"), ("a.gif", "uint8")],
)
def test_a_format_that_would_lose_depth_is_refused(tmp_path, name, dtype):
    with pytest.raises(InputError, match=name):
        write_image(tmp_path / name, make_image((20, 20), dtype))
    assert not list(tmp_path.iterdir())


def test_to_channels_matches_bt601():
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]], "uint8")
    assert to_channels(rgb, 1)[0, :, 0].tolist() == [76, 150, 29, 9]
    assert to_channels(rgb, 3) is rgb
    gray = make_image((5, 6), "uint16")
    tripled = to_channels(gray, 3)
    assert tripled.dtype == np.uint16
    np.testing.assert_array_equal(tripled, np.dstack([gray] * 3))
    np.testing.assert_array_equal(to_channels(tripled, 1)[..., 0], gray)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_unit_round_trip_over_every_value(dtype):
    values = np.arange(np.iinfo(dtype).max + 1).astype(dtype)[None]
    unit = image_to_unit(values)
    assert unit.dtype == np.float32
    assert (unit.min(), unit.max()) == (0, 1)
    np.testing.assert_array_equal(unit_to_image(unit, dtype), values)


def test_floats_are_mapped_by_their_limits_and_back():
    image = make_image((9, 7), "float32")
    limits = find_limits(image)
    unit = image_to_unit(image, limits)
    assert (unit.min(), unit.max()) == (0, 1)
    np.testing.assert_allclose(unit_to_image(unit, "float32", limits), image, atol=1e-4)
    np.testing.assert_array_equal(image_to_unit(image), image)
    assert find_limits(make_image((3, 3), "uint16")) == (0, 65535)


def test_rounding_to_levels_is_what_a_file_keeps():
    unit = np.random.default_rng(0).uniform(-0.1, 1.1, (5, 5)).astype("float32")
    for dtype, top in (("uint8", 255), ("uint16", 65535)):
        stored = image_to_unit(unit_to_image(unit, dtype))
        np.testing.assert_allclose(round_to_levels(unit, top), stored, atol=1e-7)


def test_unit_to_image_clips_and_rounds():
    unit = np.array([-0.5, 0.4999 / 255, 0.5001 / 255, 1.5], "float32")
    assert unit_to_image(unit, "uint8").tolist() == [0, 0, 1, 255]


def test_list_images_is_sorted_and_skips_the_rest(tmp_path):
    for name in ("b.JPG", "a.png", "c.tiff", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [p.name for p in list_images(tmp_path)] == ["a.png", "b.JPG", "c.tiff"]


def test_list_images_refuses_missing_and_empty_folders(tmp_path):
    with pytest.raises(InputError, match="no images"):
        list_images(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        list_images(tmp_path / "absent")
