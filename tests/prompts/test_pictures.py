"""A picture is sent as it is seen: upright, in colours that its kind has, or not at all."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from bifrost_nb._prompts.messages import readable
from bifrost_nb._prompts.pictures import data_url, described, shortened
from bifrost_nb._prompts.value_text import Fault


def photograph(orientation: int, kind: str) -> bytes:
    """Red at the left, blue at the right as it is stored, and a tag that says how to turn it."""
    made, tags, content = Image.new("RGB", (64, 32), "red"), Image.Exif(), io.BytesIO()
    made.paste("blue", (32, 0, 64, 32))
    tags[0x0112] = orientation
    made.save(content, kind, exif=tags)
    return content.getvalue()


def seen(url: str) -> Image.Image:
    """What a viewer shows of it."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))).convert("RGB")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_upright_however_it_is_passed(orientation: int, kind: str, tmp_path: Path) -> None:
    """A path, its bytes and the opened picture are one picture to the model, turned as the camera said."""
    content = photograph(orientation, kind)
    path = tmp_path / "photograph"
    path.write_bytes(content)
    shown = [seen(data_url(one)) for one in (path, content, Image.open(path))]
    assert len({one.size for one in shown}) == 1
    corners = [tuple(channel > 128 for channel in one.getpixel((2, 2))) for one in shown]  # type: ignore[union-attr]
    assert corners == corners[:1] * 3


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "F", "I"])
def test_colours_that_no_png_has_are_refused_with_the_way_out(mode: str) -> None:
    """What conversion loses is the person's to decide; it is named."""
    with pytest.raises(Fault, match=r"convert\('RGB'\)"):
        data_url(Image.new(mode, (8, 8)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_colours_that_a_png_has_are_sent(mode: str) -> None:
    """Each is the picture that it was."""
    assert seen(data_url(Image.new(mode, (8, 5)))).size == (8, 5)


def saved(kind: str, **how: object) -> bytes:
    """A picture that its kind cannot make small: noise in four colours."""
    made, content = Image.effect_noise((60, 40), 90).convert("RGB"), io.BytesIO()
    made.save(content, kind, **how)
    return content.getvalue()


KINDS = {
    "PNG": saved("PNG"),
    "JPEG": saved("JPEG"),
    "JPEG, progressive": saved("JPEG", progressive=True),
    "JPEG with a thumbnail": saved("JPEG", exif=b"Exif\0\0" + b"\xff\xd8\xff\xd9"),
    "JPEG in inks": (lambda file: (Image.new("CMYK", (60, 40), (9, 99, 0, 0)).save(file, "JPEG"), file.getvalue())[1])(
        io.BytesIO()
    ),
    "GIF": saved("GIF"),
    "GIF, moving": saved("GIF", save_all=True, append_images=[Image.effect_noise((60, 40), 50)] * 3),
    "WebP": saved("WEBP"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_that_break_off_are_refused(kind: str, tmp_path: Path) -> None:
    """Half of a picture is told by name before anything is sent, however it is passed; the whole is sent as it is."""
    content = KINDS[kind]
    assert base64.b64decode(data_url(content).partition(",")[2]) == content
    assert data_url(content + b"\0\0what a camera adds")
    for end in (len(content) // 2, len(content) - 2, 40):
        cut = content[:end]
        (tmp_path / "cut").write_bytes(cut)
        url = f"data:image/{kind[:4].split(',')[0].strip().lower()};base64,{base64.b64encode(cut).decode()}"
        for one in (cut, tmp_path / "cut", url):
            with pytest.raises(Fault, match=r"(PNG|JPEG|GIF|WebP) that breaks off or is damaged"):
                data_url(one)


def test_a_damaged_png_is_refused() -> None:
    """Its checksums tell of one bit."""
    content = bytearray(KINDS["PNG"])
    content[len(content) // 2] ^= 1
    with pytest.raises(Fault, match="damaged"):
        data_url(bytes(content))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_none_is_dropped_in_silence(kind: str, tmp_path: Path) -> None:
    """An opened animation would be one frame of it; the file itself goes whole, a chosen frame as such."""
    path = tmp_path / "moving"
    others = [Image.new("RGB", (8, 5), colour) for colour in ("green", "blue")]
    Image.new("RGB", (8, 5), "red").save(path, kind, save_all=True, append_images=others)
    with Image.open(path) as opened:
        with pytest.raises(Fault, match=r"has 3 frames.*copy\(\)"):
            data_url(opened)
        opened.seek(2)
        red, green, blue = seen(data_url(opened.copy())).getpixel((2, 2))  # type: ignore[misc]
    assert blue > 200 > red + green
    if kind != "TIFF":
        assert base64.b64decode(data_url(path).partition(",")[2]) == path.read_bytes()


def test_a_palette_with_a_hole_and_sixteen_bits() -> None:
    """Transparency and depth are sent as they are."""
    content = io.BytesIO()
    palette = Image.new("P", (8, 5), 1)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.save(content, "PNG", transparency=1)
    sent = Image.open(io.BytesIO(base64.b64decode(data_url(Image.open(content)).partition(",")[2])))
    assert sent.convert("RGBA").getpixel((2, 2)) == (0, 255, 0, 0)
    deep = Image.new("I;16", (8, 5), 40_000)
    assert Image.open(io.BytesIO(base64.b64decode(data_url(deep).partition(",")[2]))).getpixel((2, 2)) == 40_000


def test_a_picture_left_out_is_named_without_its_digest() -> None:
    """A frame has a digest in the place of a picture; a person reads that there was one, and of what kind."""
    url = data_url(saved("PNG"))
    asked = json.dumps([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])
    assert described(url).startswith("[picture: PNG, ")
    assert readable(shortened(asked)) == "[picture: PNG]"
