"""In a browser, from file://, without network, at two widths, in light and dark, with or without script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from gradcheck_suite.reporters.html import write_html
from tests.reporters import synthetic
from tests.reporters.browser import Browser

WIDTHS = [1440, 390]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every kind of content."""
    target = tmp_path_factory.mktemp("report") / "index.html"
    write_html(synthetic.document(ops=6, points=240), target)
    return target


def fragment(**choices: str) -> str:
    return "#" + urlencode(choices)


def shown(browser: Browser, selector: str) -> list[str]:
    """The texts of the visible elements that match."""
    found: list[str] = browser.evaluate(
        f"[...document.querySelectorAll({json.dumps(selector)})]"
        ".filter(e => e.checkVisibility()).map(e => e.innerText.trim())"
    )
    return found


def ops(browser: Browser) -> list[str]:
    return shown(browser, "#matrix tbody th a")


def address(browser: Browser) -> dict[str, str]:
    chosen: dict[str, str] = browser.evaluate(
        "Object.fromEntries(new URLSearchParams(location.hash.slice(1)))"
    )
    return chosen


def opened(browser: Browser) -> None:
    browser.wait_for("!document.querySelector('#op').hidden && document.querySelector('#case .charts svg')")


def type_into(browser: Browser, text: str) -> None:
    browser.call("Input.insertText", text=text)


def test_a_newcomer_sees_what_where_and_how_to_repeat(browser: Browser, page: Path) -> None:
    browser.open(page)
    (first, *_) = shown(browser, ".gravest ol > li")
    what, where, repeat = (first.index(part) for part in ("critical: nan", "x ≥ 256", "pytest --gradcheck"))
    assert what < where < repeat
    assert (
        browser.evaluate("document.querySelector('.gravest ol > li').getBoundingClientRect().bottom") < 1000
    )


def test_search_finds_an_op_and_the_address_keeps_it(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.press("/", "/")
    type_into(browser, "softp")
    browser.wait_for("document.querySelector('#count').textContent.startsWith('1 of')")
    assert ops(browser) == ["softplus"]
    assert address(browser) == {"q": "softp"}
    browser.open(page, fragment(q="softp"))
    assert ops(browser) == ["softplus"]
    browser.click("button[type=reset]")
    browser.wait_for("document.querySelector('#count').textContent === '7 of 7 ops'")


def test_a_search_shows_the_row_of_the_op_before_all_and_enter_opens_it(browser: Browser, page: Path) -> None:
    """Whether an op can be used in float16 is to be seen without scrolling."""
    browser.open(page)
    browser.press("/", "/")
    type_into(browser, "gelu")
    browser.wait_for("document.querySelector('#count').textContent.startsWith('2 of')")
    assert ops(browser) == ["gelu", "fused_gelu"]
    bottom = "document.querySelector('#matrix tbody tr').getBoundingClientRect().bottom"
    assert browser.evaluate(bottom) < 450
    assert shown(browser, "#glance-h") == []
    browser.press("Enter", "\r")
    opened(browser)
    assert address(browser) == {"q": "gelu", "op": "gelu"}
    browser.press("Escape")
    browser.wait_for("document.querySelector('#op').hidden")
    browser.click("button[type=reset]")
    browser.wait_for("!document.querySelector('.glance').hidden")
    assert browser.evaluate("document.querySelector('#summary').lastElementChild.className") == "ops"


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"kind": "sign"}, {"fused_gelu"}),
        ({"status": "new"}, {"fused_gelu", "hostile"}),
        ({"new": "1"}, {"fused_gelu", "hostile"}),
        ({"severity": "major", "direction": "forward"}, {"fused_gelu", "gelu", "mse_loss"}),
        (
            {"dtype": "float16", "direction": "forward", "severity": "minor"},
            {"fused_gelu", "gelu", "mse_loss"},
        ),
        ({"family": "elementwise_input_target"}, {"mse_loss"}),
        ({"dtype": "float32", "inputs": "extreme"}, {"fused_gelu", "mse_loss"}),
        ({"dtype": "float32", "inputs": "ordinary", "direction": "forward"}, {"gelu", "softplus"}),
        ({"q": "no such op"}, set()),
    ],
)
def test_filters_leave_what_matches(
    browser: Browser, page: Path, choices: dict[str, str], expected: set[str]
) -> None:
    browser.open(page, fragment(**choices))
    assert {name if name.isidentifier() else "hostile" for name in ops(browser)} == expected
    assert bool(shown(browser, "#nothing")) == (not expected)


def test_columns_follow_the_filter(browser: Browser, page: Path) -> None:
    browser.open(page, fragment(dtype="float16", direction="backward"))
    assert shown(browser, "#matrix thead th") == ["op", "float16", "backward"]
    assert len(shown(browser, "#matrix tbody tr:first-child td")) == 1


def test_a_choice_in_the_form_is_kept_in_the_address(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.evaluate(
        "(() => { const s = document.querySelector('select[name=sort]'); s.value = 'name';"
        "s.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    assert address(browser) == {"sort": "name"}
    assert ops(browser) == sorted(ops(browser), key=str.lower)


def test_an_op_opens_with_its_pictures_and_closes_again(browser: Browser, page: Path) -> None:
    browser.open(page, fragment(q="sig"))
    browser.click("#matrix tbody tr:not(.off) th a")
    opened(browser)
    assert address(browser) == {"q": "sig", "op": "sigmoid"}
    text = shown(browser, "#op")[0]
    for part in (
        "1 / (1 + exp(-x))",
        "write this instead",
        "16.6355 ≤ x ≤ 103.97",
        "confirmed by mpmath@400",
    ):
        assert part in text
    assert browser.evaluate("document.querySelectorAll('#case .charts svg .bar').length") >= 1
    assert browser.evaluate("document.querySelectorAll('#case .slider .exact').length") == 3
    assert browser.evaluate("document.title").startswith("sigmoid")
    browser.press("Escape")
    browser.wait_for("document.querySelector('#op').hidden")
    assert address(browser) == {"q": "sig"}


def test_ticks_stand_at_the_ends_zero_one_and_powers_of_ten(browser: Browser, page: Path) -> None:
    for axis in ("", "even"):
        browser.open(page, fragment(op="sigmoid", case="sigmoid::float32::backward", axis=axis))
        opened(browser)
        labels = browser.evaluate(
            "[...document.querySelectorAll('figure:last-child svg text')].map(t => t.textContent)"
        )
        assert {"-max", "0", "max"} <= set(labels)
        assert "1e16" in labels or "1e32" in labels or "100" in labels
        assert any(label.startswith("underflow: 16.6355") for label in labels)


def test_the_cursor_follows_mouse_and_arrow_keys(browser: Browser, page: Path) -> None:
    browser.open(page, fragment(op="sigmoid", case="sigmoid::float32::backward"))
    opened(browser)
    readout = "document.querySelector('.readout').innerText"
    first = browser.evaluate(readout)
    box = browser.evaluate(
        "(() => { const e = [...document.querySelectorAll('.slider')].at(-1);"
        "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
        "return [b.x + b.width * .5, b.y + 60]; })()"
    )
    browser.move(*box)
    browser.wait_for(f"{readout} !== {json.dumps(first)}")
    moved = browser.evaluate(readout)
    assert all(name in moved for name in ("input", "computed", "exact", "error", "ULP"))
    browser.evaluate("[...document.querySelectorAll('.slider')].at(-1).focus()")
    browser.press("ArrowRight")
    assert browser.evaluate(readout) != moved
    browser.press("ArrowLeft")
    assert browser.evaluate(readout) == moved
    browser.press("Home")
    assert browser.evaluate(readout).startswith("input -3.")
    value = browser.evaluate("document.activeElement.ariaValueText")
    assert value.startswith("input -3.")
    assert "e38" in value
    assert "ULP" in value


def test_a_permalink_leads_to_its_finding(browser: Browser, page: Path) -> None:
    browser.open(page)
    link = browser.evaluate(
        "[...document.querySelectorAll('.gravest a')]"
        ".find(a => a.href.includes('finding=') && a.href.includes('mse_loss')).hash"
    )
    browser.open(page, link)
    opened(browser)
    browser.wait_for("document.querySelector('.finding.here')")
    assert shown(browser, ".finding.here h5")[0].startswith("critical: overflow")
    assert browser.evaluate("document.activeElement.dataset.finding") == address(browser)["finding"]


def test_a_case_of_a_variant_has_its_address(browser: Browser, page: Path) -> None:
    case = "gelu[approximate=tanh]::bfloat16::backward"
    browser.open(page, fragment(op="gelu", case=case))
    opened(browser)
    assert shown(browser, ".case-head h3")[-1].startswith("bfloat16 backward")
    assert browser.evaluate("document.querySelector('#variants select').value") == case
    assert browser.evaluate("document.querySelector('[aria-current]').dataset.place") == "bfloat16 backward"


def test_inputs_of_a_gradient_are_chosen_apart(browser: Browser, page: Path) -> None:
    browser.open(page, fragment(op="mse_loss", case="mse_loss[reduction=sum]::float32::backward::target"))
    opened(browser)
    options = "[...document.querySelectorAll('#case .case-head option')].map(o => o.textContent)"
    assert browser.evaluate(options) == ["input: ok", "target: ok"]
    assert browser.evaluate("document.querySelector('#case .case-head select').value").endswith("::target")


def test_zooming_to_a_region_and_back(browser: Browser, page: Path) -> None:
    browser.open(page, fragment(op="sigmoid", case="sigmoid::float64::backward"))
    opened(browser)
    labels = "[...document.querySelectorAll('.charts figure:last-child text')].map(t => t.textContent).join()"
    assert "-max" in browser.evaluate(labels)
    browser.click("[data-zoom]")
    browser.wait_for(f"!{labels}.includes('-max')")
    browser.evaluate(
        "[...document.querySelectorAll('figcaption button')]"
        ".find(b => b.textContent === 'whole line').click()"
    )
    assert "-max" in browser.evaluate(labels)


def test_a_map_is_drawn_and_read_out(browser: Browser, page: Path) -> None:
    browser.open(page, fragment(op="mse_loss"))
    opened(browser)
    browser.evaluate("[...document.querySelectorAll('.slider')].at(-1).focus()")
    line = "[...document.querySelectorAll('.readout')].at(-1).innerText"
    before = browser.evaluate(line)
    browser.press("ArrowUp")
    after = browser.evaluate(line)
    assert before != after
    assert "target" in after
    assert "class" in after


def test_the_reproducer_is_copied(browser: Browser, page: Path) -> None:
    browser.open(page, fragment(op="fused_gelu"))
    opened(browser)
    browser.evaluate(
        "navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }"
    )
    browser.evaluate("document.querySelector('.code .copy').click()")
    browser.wait_for("document.querySelector('.code .copy').textContent === 'copied'")
    assert browser.evaluate("window.copied").startswith("import torch\n")


def test_hostile_names_open_like_any_other(browser: Browser, page: Path) -> None:
    name = synthetic.HOSTILE_TOY.name
    browser.open(page, fragment(op=name))
    opened(browser)
    assert " ".join(shown(browser, ".op-name")[0].split()).startswith(" ".join(name.split()))
    assert browser.evaluate("document.querySelectorAll('script').length") == 8
    assert browser.evaluate("document.querySelectorAll('#op b b, #op script').length") == 0


def test_an_address_that_leads_nowhere_shows_the_summary(browser: Browser, page: Path) -> None:
    browser.open(page, fragment(op="no such op", case="x", finding="y"))
    assert len(ops(browser)) == 7


def test_the_table_is_walked_with_arrow_keys(browser: Browser, page: Path) -> None:
    browser.open(page, fragment(sort="name"))
    browser.evaluate("document.querySelector('#matrix tbody tr th a').focus()")
    browser.press("ArrowRight")
    browser.press("ArrowDown")
    place = browser.evaluate(
        "[document.activeElement.closest('tr').rowIndex, document.activeElement.closest('td').cellIndex]"
    )
    assert place == [3, 1]


def test_without_javascript_the_summary_is_there_and_no_dead_control(browser: Browser, page: Path) -> None:
    browser.scripting(on=False)
    browser.open(page)
    browser.scripting(on=True)  # for the questions; the page's own script did not run
    assert len(ops(browser)) == 7
    assert shown(browser, "#filters, button") == []
    assert len(shown(browser, "#matrix tbody td")) == 7 * 12
    assert "need JavaScript" in shown(browser, "noscript .banner")[0]


OVERLAPS = """
(() => {
  const all = (query) => [...document.querySelectorAll(query)].filter((e) => e.checkVisibility() && e.getClientRects().length);
  const box = (e) => e.getBoundingClientRect();
  const named = (found) => found.map((e) => e.outerHTML.slice(0, 120));
  const wide = all('h1,h2,h3,h4,h5,p,th,td,li,dt,dd,label,figure,button,select,.chip')
    .filter((e) => (box(e).right > innerWidth + 1 || box(e).left < -1) && !e.closest('.scroll, pre'));
  const cut = all('#matrix td a > *, .answer td a > *, .counts > *, h2, .chip, button')
    .filter((e) => box(e).right > box(e.closest('td, .chip, button, section, #op') || document.body).right + 1.5);
  const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  const texts = all('.charts svg').flatMap((picture) => {
    const labels = [...picture.querySelectorAll('text')].map((e) => [e.textContent, box(e)]);
    return labels.flatMap(([name, a], i) => labels.slice(i + 1).filter(([, b]) => meet(a, b)).map(([other]) => name + ' / ' + other));
  });
  return { page: document.documentElement.scrollWidth > innerWidth, wide: named(wide), cut: named(cut), texts };
})()
"""  # noqa: E501  JavaScript reads better unbroken


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "op", ["", "gelu", "mse_loss", "sigmoid", synthetic.HOSTILE_TOY.name], ids=lambda n: n[:8] or "summary"
)
def test_nothing_overlaps_and_nothing_is_cut_off(
    browser: Browser, page: Path, width: int, dark: bool, op: str
) -> None:
    browser.size(width, dark=dark)
    browser.open(page, fragment(op=op) if op else "")
    if op:
        opened(browser)
    assert browser.evaluate(OVERLAPS) == {"page": False, "wide": [], "cut": [], "texts": []}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("op", ["", "gelu", "mse_loss"], ids=lambda n: n or "summary")
def test_axe_finds_nothing_serious(browser: Browser, page: Path, axe: str, dark: bool, op: str) -> None:
    browser.size(1440, dark=dark)
    browser.open(page, fragment(op=op) if op else "")
    if op:
        opened(browser)
    browser.evaluate(axe)
    found: list[dict[str, Any]] = browser.evaluate("axe.run(document).then(r => r.violations)")
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    assert [
        (v["id"], v["nodes"][0]["html"][:200], v["nodes"][0].get("failureSummary")) for v in serious
    ] == []


def test_it_prints_on_light_ground_with_every_op(browser: Browser, page: Path) -> None:
    browser.size(1000, dark=True)
    browser.open(page)
    browser.call("Emulation.setEmulatedMedia", media="print", features=[])
    try:
        assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert len(ops(browser)) == 7
        assert shown(browser, "#filters, #theme, .copy") == []
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")


def test_an_op_opens_on_the_variant_that_most_programs_use(browser: Browser, page: Path) -> None:
    browser.open(page, fragment(op="softplus"))
    opened(browser)
    assert browser.evaluate("document.querySelector('#variants select').selectedIndex") == 0
    assert browser.evaluate("document.querySelector('[aria-current]').dataset.place").startswith("float32 ")
