"""Texts that are hard to read against their ground. (WCAG 2.2, 1.4.3.)"""

import json

from tests.browser.chromium import Page


def faint_texts(page: Page, selector: str) -> list[str]:
    """The elements, as HTML, whose own text has a contrast of less than 4.5 to 1."""
    found: list[str] = page.evaluate(f"{_FAINT}({json.dumps(selector)})")
    return found


_FAINT = """((selector) => {
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
        .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (it) => {
        for (; it; it = it.parentElement) {
            const colour = parts(getComputedStyle(it).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    return [...document.querySelectorAll(selector)].filter((it) => it.checkVisibility() &&
        [...it.childNodes].some((node) => node.nodeType === 3 && node.data.trim())
    ).filter((it) => {
        const [a, b] = [light(parts(getComputedStyle(it).color)), light(ground(it))].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05) < 4.5;
    }).map((it) => it.outerHTML);
})"""
