"""The source files of the house and what is code in them; shared by the house rules beside this file."""

import re
from pathlib import Path

ROOMS = ("kernels", "weights", "runtime", "arch", "apps", "include")
SUFFIXES = {".h", ".cpp", ".c", ".cu", ".cuh"}


def files(root, *folders):
    for folder in folders:
        for path in sorted((Path(root) / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                yield path


_TOKEN = re.compile(
    r"//[^\n]*"
    r"|/\*.*?\*/"
    r'|R"(?P<mark>[^\s()\\]{0,16})\(.*?\)(?P=mark)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'",
    re.DOTALL,
)


def code_only(text):
    """The text with comments and literals blanked, line numbers kept."""
    return _TOKEN.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def without_comments(text):
    """The text with comments blanked, literals and line numbers kept."""
    return _TOKEN.sub(
        lambda m: re.sub(r"[^\n]", " ", m.group()) if m.group().startswith(("//", "/*")) else m.group(), text
    )


def line_of(text, position):
    return text.count("\n", 0, position) + 1
