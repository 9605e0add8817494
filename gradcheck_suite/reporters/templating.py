"""The jinja2 templates, style sheet and scripts of the HTML pages, read from the package."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from jinja2.utils import url_quote
from markupsafe import Markup, escape

from gradcheck_suite.reporters import numbers, regions, words
from gradcheck_suite.results import largest_ulp, variant_label

_SCRIPTS = ("dom", "float_line", "cursor", "pictures", "state", "filters", "page")


@functools.cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("gradcheck_suite.reporters"),
        autoescape=True,  # names, parameters and messages of a document are text, whatever they contain
        undefined=StrictUndefined,
        auto_reload=False,  # or each of some thousand sections would look at the templates' dates again
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        short=numbers.short,
        decimal=numbers.decimal,
        ulp=numbers.ulp_text,
        shown=numbers.input_text,
        hex=numbers.hex_text,
        urlencode=functools.lru_cache(maxsize=20_000)(url_quote),
    )
    made.globals.update(words=words, regions=regions, variant_label=variant_label, largest_ulp=largest_ulp)
    made.globals.update(inputs=_inputs, glyph=_glyph, strip=_strip, copy=_COPY)
    return made


# Macros would take a third of the time that a page takes: it has some ten thousand of each of these.
_COPY = Markup('<button type="button" class="copy js" data-copy>copy</button>')


@functools.cache
def _glyph(level: str) -> Markup:
    """The sign of a level."""
    return Markup(
        f'<svg class="g {escape(level)}" viewBox="0 0 16 16" aria-hidden="true"><use href="#g-{escape(level)}"/></svg>'
    )


def _strip(paths: list[tuple[str, str]]) -> Markup:
    """A line of floats with the bad ones marked: of each severity its SVG path."""
    drawn = "".join(f'<path class="{escape(severity)}" d="{escape(path)}"/>' for severity, path in paths)
    box = 'viewBox="0 0 100 6" preserveAspectRatio="none"'
    return Markup(f'<svg class="strip" {box} aria-hidden="true">{drawn}</svg>')


def _inputs(values: dict[str, Any]) -> Markup:
    """Inputs with their values, and with their names where they are several."""
    named = len(values) > 1
    return Markup(
        "".join(
            '<span class="pair">'
            + (f"<i>{escape(name)}</i> = " if named else "")
            + f"<code>{escape(numbers.input_text(value))}</code></span>"
            for name, value in values.items()
        )
    )


def template(name: str) -> Template:
    """One of the package's templates, autoescaped, with the reporters' words and numbers at hand."""
    return _environment().get_template(name)


def style() -> Markup:
    """The style sheet of every page."""
    return Markup(_asset("report.css"))


def script() -> dict[str, Any]:
    """The page's script in one strict scope, and the hash by which the page's policy admits it."""
    parts = "".join(_asset(f"js/{name}.js") for name in _SCRIPTS)
    text = f'"use strict";\n{{\n{parts}}}\n'
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"script": Markup(text), "script_hash": digest}


def _asset(name: str) -> str:
    return resources.files("gradcheck_suite.reporters").joinpath("templates", name).read_text("utf-8")
