# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The pictures of the situations can be read without seeing them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "situations"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("picture", sorted(PAGES.glob("*.svg")), ids=lambda picture: picture.stem)
def test_a_picture_says_in_words_what_it_shows(picture: Path) -> None:
    root = ET.parse(picture).getroot()
    words = {child.tag.removeprefix(SVG): child.text or "" for child in root if child.get("id")}
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title desc"
    assert words["title"]
    names = [
        text.text or "" for text in root.iter(f"{SVG}text") if (text.get("class") or "").startswith("name")
    ]
    assert names
    assert [name for name in names if name not in words["desc"]] == []
