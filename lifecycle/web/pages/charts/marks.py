"""Elements of SVG: everything that is text is escaped, every coordinate said to a tenth."""

from __future__ import annotations

from markupsafe import Markup, escape

from lifecycle.policy.diagram.measure import width
from lifecycle.web.pages.told import plain

EMPTY = Markup()


def element(tag: str, /, *inside: str, **attributes: str | float) -> Markup:
    """`class_` is written `class`, `text_anchor` `text-anchor`; what is in it is escaped, elements are not."""
    said = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for name, value in attributes.items()
    )
    if not inside:
        return Markup(f"<{tag}{said}/>")  # noqa: S704 - its values are escaped
    return Markup(f"<{tag}{said}>{joined(*inside)}</{tag}>")  # noqa: S704 - likewise, and what is in it


def _value(value: str | float) -> str:
    return escape(plain(value)) if isinstance(value, str) else n(value)


def joined(*parts: str) -> Markup:
    return Markup().join(
        part if isinstance(part, Markup) else escape(plain(part)) for part in parts
    )


def lines(*said: str) -> Markup:
    return Markup("\n").join(joined(one) for one in said)


def drawing(
    *inside: str, key: str, title: str, about: str, size: tuple[float, float], class_: str
) -> Markup:
    """A whole picture: read aloud as its title and what it is about. `key` is its own on the page."""
    high, wide = size[1], size[0]
    return element(
        "svg",
        element("title", title, id=f"{key}-title"),
        element("desc", about, id=f"{key}-about"),
        *inside,
        class_=f"chart {class_}",
        viewBox=f"0 0 {n(wide)} {n(high)}",
        width=wide,
        height=high,
        role="img",
        aria_labelledby=f"{key}-title {key}-about",
    )


def text(said: str, x: float, y: float, class_: str, **more: str | float) -> Markup:
    return element("text", said, x=x, y=y, class_=class_, **more)


def n(value: float) -> str:
    """To a tenth, without trailing zeros."""
    return f"{value:.1f}".removesuffix(".0").replace("-0.0", "0")


def clipped(said: str, size: float, most: float) -> str:
    """No wider than `most` pixels."""
    said = plain(said)
    if width(said, size) <= most:
        return said
    kept, used = [], width("…", size)
    for char in said:
        used += width(char, size)
        if used > most:
            break
        kept.append(char)
    return f"{''.join(kept)}…"
