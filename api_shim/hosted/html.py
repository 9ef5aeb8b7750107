"""Templates. Whatever is put into one is escaped, unless it was made by one: so nobody can forget to."""

from html import escape
from string import Template

from api_shim.pages import read


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


NOTHING = Html("")


def fill(template: Template, **values: str) -> Html:
    """The template with a value for each of its `$name`s, for text and for quoted attributes. Raises `KeyError`."""
    return Html(template.substitute({name: _escaped(value) for name, value in values.items()}))


def joined(parts: list[Html]) -> Html:
    return Html("\n".join(parts))


def template_of(name: str) -> Template:
    """One of the files in `pages/hosted`."""
    return Template(read(f"hosted/{name}").decode().rstrip("\n"))


def _escaped(value: str) -> Html:
    return value if isinstance(value, Html) else Html(escape(value))
