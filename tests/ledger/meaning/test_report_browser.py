# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The report in a real browser: hostile text stays text, nothing is loaded, and it prints."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import browser
import pytest

from runrecord.ledger import audit_run, render_report
from runrecord.ledger.checkpoint import Checkpoint

pytestmark = pytest.mark.browser
EVIL = (
    "</title></style></svg><script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
)


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.found = set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found |= {tag, *(name for name, _ in attrs if name.startswith("on") or name in ("src", "href"))}


def chromium(directory, page, *arguments):
    path = directory / "report.html"
    path.write_text(page)
    return browser.run(path, directory, *arguments)


def page_of(b):
    view = b.view()
    return render_report(view, audit_run(view), Checkpoint("example.com/test", 42, bytes(32)))


def test_hostile_text_stays_text(tmp_path, build):
    b = build(EVIL)
    b.begin()
    b.step(0)
    b.decision(EVIL, EVIL, step=0, runrecord__policy__name=EVIL)
    b.request(EVIL, EVIL, step=0)
    b.answer(EVIL, EVIL, EVIL, step=0, runrecord__approval__actor__ref=EVIL)
    b.tool(EVIL, EVIL, step=0, runrecord__side_effect__target=EVIL, runrecord__idempotency__ref=EVIL)
    b.close(outcome=EVIL)
    page = page_of(b)
    shown = chromium(tmp_path, page, "--dump-dom")
    assert "owned" in shown  # as text
    assert "<title>owned" not in shown
    assert Tags(shown).found == Tags(page).found
    assert not Tags(shown).found & {"script", "img", "iframe", "src", "href", "onerror"}


@pytest.mark.parametrize(("steps", "pages"), [(3, 4), (300, 20)])
def test_it_prints(tmp_path, build, steps, pages):
    b = build()
    b.begin()
    for number in range(steps):
        b.step(number)
        b.tool(f"c{number}", effect="read", step=number)
    b.close()
    chromium(tmp_path, page_of(b), "--no-pdf-header-footer", f"--print-to-pdf={tmp_path}/report.pdf")
    printed = (tmp_path / "report.pdf").read_bytes()
    assert 1 <= len(re.findall(rb"/Type /Page\b", printed)) <= pages
