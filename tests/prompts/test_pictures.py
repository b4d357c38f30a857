"""A picture is sent as it is seen: upright, in colours that its kind has, or not at all."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from bifrost_nb._prompts.pictures import data_url
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
