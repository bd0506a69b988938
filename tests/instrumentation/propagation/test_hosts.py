# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The allow-list against everything that tries to look like a host on it."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.instrumentation.propagation import HostList
from runrecord.instrumentation.propagation.hosts import peer_of, peer_of_text, peer_of_url
from runrecord.instrumentation.propagation.policy import read_policy

LIST = HostList.of(
    "tools.internal, *.corp.example,10.0.0.0/8,192.0.2.7,[2001:db8::1], fd00::/8,api.example:8443,"
    "bücher.example,xn--mnchen-3ya.example,[2001:db8::2]:443,my_service"
)


def test_every_pattern_of_the_list_is_read() -> None:
    assert LIST.problems == ()
    assert len(LIST.patterns) == 11
    assert LIST


@pytest.mark.parametrize(
    "url",
    [
        "http://tools.internal",
        "https://TOOLS.Internal.:8443/a?b#c",
        "https://user:pass@tools.internal/",
        "https://evil.example@tools.internal/",
        "https://a.corp.example/",
        "https://a.b.corp.example/",
        "http://10.255.0.1:9/",
        "http://[::ffff:10.0.0.1]/",
        "http://192.0.2.7/",
        "http://[2001:DB8:0::1]/",
        "http://[fd12::1]/",
        "https://api.example:8443/",
        "https://bücher.example/",
        "https://xn--bcher-kva.example/",
        "https://BÜCHER.example/",
        "https://münchen.example/",
        "https://[2001:db8::2]/",
        "http://my_service:80/",
        "https://tools.internal?@evil.example/",
        "https://tools.internal#@evil.example/",
    ],
)
def test_allowed(url: str) -> None:
    assert LIST.allows(peer_of_url(url))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tools.internal",
        "//tools.internal/",
        "https:tools.internal",
        "https:/tools.internal",
        "https:///tools.internal",
        "https://tools.internal@evil.example/",
        "https://tools.internal:80@evil.example/",
        "https://evil.example/@tools.internal",
        "https://evil.example#@tools.internal",
        "https://evil.example?@tools.internal",
        "https://evil.example\\@tools.internal/",
        "https://evil.example\\.tools.internal/",
        "https://tools.internal.evil.example/",
        "https://eviltools.internal/",
        "https://tools.internal../",
        "https://tools..internal/",
        "https://tools.internal%00.evil.example/",
        "https://tools%2einternal/",
        "https://tools.inter\nnal/",
        "https://tools.internal\t/",
        "https:// tools.internal/",
        "https://tools.internal /",
        "https://tools\u3002internal/",
        "https://tools\uff0einternal/",
        "https://\uff54ools.internal/",
        "https://corp.example/",
        "https://evilcorp.example/",
        "https://.corp.example/",
        "https://a.corp.example.evil.example/",
        "http://11.0.0.1/",
        "http://10.1/",
        "http://0x0a000001/",
        "http://167772161/",
        "http://010.0.0.1/",
        "http://10.0.0.1.evil.example/",
        "http://192.0.2.8/",
        "http://[2001:db8::3]/",
        "http://[::10.0.0.1]/",
        "http://[fe80::1%25eth0]/",
        "http://[10.0.0.1]x/",
        "https://api.example/",
        "https://api.example:8444/",
        "https://api.example:99999/",
        "https://api.example:x/",
        "http://[2001:db8::2]/",
        "https://bucher.example/",
        "https://b\u00fc\u200dcher.example/",
        "https://munchen.example/",
    ],
)
def test_not_allowed(url: str) -> None:
    assert not LIST.allows(peer_of_url(url))


@pytest.mark.parametrize(
    "name", ["straße.example", "strasse.example", "βόλος.example", "fi\u200cx.example", "ﬁx.example"]
)
def test_a_name_of_which_idna_has_two_readings_is_no_host(name: str) -> None:
    listed = HostList(["strasse.example", "xn--strae-oqa.example", "xn--nxasmm1c.example", "fix.example"])
    assert listed.allows(peer_of(name)) == name.isascii()


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "*.",
        "a.*",
        "*a.example",
        "*.*.example",
        "*.10.0.0.1",
        "https://tools.internal",
        "user@tools.internal",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "tools.internal/8",
        "tools.internal:",
        "tools.internal:0",
        "tools.internal:65536",
        "tools.internal:http",
        "a b",
        "127.1",
        "0x7f000001",
        "-a.example",
        "straße.example",
        "[tools.internal]",
        "[10.0.0.1]",
        "[::1",
        "a" * 64,
        ".".join(["a" * 60] * 5),
    ],
)
def test_a_pattern_that_is_none_allows_nothing_and_is_named(pattern: str) -> None:
    listed = HostList([pattern])
    assert not listed
    assert listed.patterns == ()
    assert len(listed.problems) == 1
    assert repr(pattern) in listed.problems[0]


def test_nothing_is_allowed_by_default_not_even_this_machine() -> None:
    for text in ("localhost", "127.0.0.1", "[::1]:80"):
        assert peer_of_text(text) is not None
        assert not read_policy({}).hosts.allows(peer_of_text(text))


def test_an_unknown_peer_is_not_allowed() -> None:
    assert not LIST.allows(None)


@pytest.mark.parametrize(
    ("variables", "accept", "processes", "problems"),
    [
        ({}, False, True, 0),
        ({"RUNRECORD_PROPAGATION_ACCEPT": "True"}, True, True, 0),
        ({"RUNRECORD_PROPAGATION_ACCEPT": "maybe"}, False, True, 1),
        ({"RUNRECORD_PROPAGATION_PROCESSES": "off"}, False, False, 0),
        ({"RUNRECORD_PROPAGATION_PROCESSES": "maybe"}, False, False, 1),
        ({"RUNRECORD_PROPAGATION_HOSTS": "a,*, ,b"}, False, True, 1),
    ],
)
def test_settings(variables: dict[str, str], accept: bool, processes: bool, problems: int) -> None:
    policy = read_policy(variables)
    assert (policy.accept, policy.processes, len(policy.problems)) == (accept, processes, problems)


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_around_a_host_makes_it_allowed_on_another(before: str, after: str) -> None:
    """Whatever is put in front of and behind the host, it is allowed only if the standard parser finds it there."""
    url = f"https://{before}tools.internal{after}"
    if HostList(["tools.internal"]).allows(peer_of_url(url)):
        assert (urlsplit(url).hostname or "").removesuffix(".") == "tools.internal"
