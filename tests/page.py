"""What a page shows: its text, what it refers to, its numbers and its figures."""

import re
from html.parser import HTMLParser

import numpy as np
from PIL import Image


class Page(HTMLParser):
    """Collects what a page refers to, its text, and its tags."""

    def __init__(self):
        super().__init__()
        self.links, self.text, self.tags = [], "", []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def figures_of(content):
    """Every number of a JSON value as a page or terminal may show it, and those that stand in its sentences."""
    if isinstance(content, dict | list):
        inside = content.values() if isinstance(content, dict) else content
        return set().union({str(len(content))}, *(figures_of(value) for value in inside))
    if isinstance(content, str):
        return set(NUMBER.findall(content))
    if isinstance(content, bool) or content is None:
        return set()
    return {f"{content:.4g}", str(content), f"{100 * content:.2f}", f"{100 * content:+.2f}", f"{content:.4f}"}


def is_drawn(path):
    """A picture that is not one colour."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    return min(pixels.shape[:2]) > 200 and pixels.std() > 5
