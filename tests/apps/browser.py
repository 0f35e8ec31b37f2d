#!/usr/bin/env python3
"""The pages of `upscale compare --html` and `--report` in headless Chromium: the slider, zoom, moving, keys and
buttons by events, and what is painted by a screenshot.

  tests/apps/browser.py build/upscale model.pth

Exit code 77 (skipped) where no Chromium is installed, or none starts (which fails in CI).
"""

import html
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import urllib.parse
import zlib
from pathlib import Path

WIDTH, HEIGHT = 800, 600      # of the window
SIDE = (480, 420)             # of a page within the page of the screenshot
ACTIONS = """
<script>
Element.prototype.setPointerCapture = () => {};  // made-up pointers cannot be captured
addEventListener('load', () => {
  const stage = document.getElementById('stage'), bar = document.getElementById('bar'), seen = {};
  const [a, b] = document.querySelectorAll('#layer img'), box = stage.getBoundingClientRect();
  const at = (x, y) => ({clientX: box.left + x, clientY: box.top + y, bubbles: true, cancelable: true});
  const look = name => {
    const r = a.getBoundingClientRect();
    seen[name] = {bar: parseFloat(bar.style.left), zoom: parseFloat(document.getElementById('zoom').textContent),
      x: r.left - box.left, y: r.top - box.top, width: r.width, clips: [a.style.clipPath, b.style.clipPath],
      left: document.getElementById('left').value, right: document.getElementById('right').value};
  };
  const pointer = (type, target, x, y) => target.dispatchEvent(new PointerEvent(type, {pointerId: 1, ...at(x, y)}));
  const key = (type, name) => document.body.dispatchEvent(new KeyboardEvent(type, {key: name, bubbles: true}));
  seen.stage = [box.width, box.height];
  look('start');
  stage.dispatchEvent(new WheelEvent('wheel', {deltaY: -120, ...at(300, 100)}));
  look('wheel');
  pointer('pointerdown', bar, box.width / 2, 50); pointer('pointermove', stage, box.width / 4, 50);
  pointer('pointerup', stage, box.width / 4, 50);
  look('slid');
  pointer('pointermove', stage, 10, 50);
  pointer('pointerdown', stage, 100, 100); pointer('pointermove', stage, 130, 120); pointer('pointerup', stage, 130, 120);
  look('moved');
  key('keydown', 'ArrowRight'); look('arrow');
  key('keydown', ' '); look('space'); key('keyup', ' '); look('released');
  document.getElementById('one').click(); look('one');
  document.getElementById('fit').click(); look('fit');
  document.getElementById('swap').click(); look('swap');
  document.querySelectorAll('tr[data-picture]')[1].click(); look('row');
  document.getElementById('diff').click();
  seen.difference = getComputedStyle(b).mixBlendMode + ' ' + getComputedStyle(document.getElementById('layer')).filter;
  document.body.innerHTML = '<pre id="seen">' + JSON.stringify(seen).replace(/</g, '&lt;') + '</pre>';
});
</script>
"""

LISTED = """
<script>
addEventListener('load', () => {
  const seen = [...document.querySelectorAll('a')].map(a => [a.href, a.querySelector('img').naturalWidth]);
  document.body.innerHTML = '<pre id="seen">' + JSON.stringify(seen).replace(/</g, '&lt;') + '</pre>';
});
</script>
"""


def write_png(path, width, height, colour):
    """colour(x, y) -> r, g, b."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"".join(bytes(colour(x, y)) for x in range(width)) for y in range(height))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def read_png(path):
    """Rows of 8-bit pixels and their channels; what Chromium writes."""
    data, at, packed = path.read_bytes(), 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, bits, colour = struct.unpack(">IIBB", body[:10])
        packed += body if kind == b"IDAT" else b""
        at += length + 12
    n = {2: 3, 6: 4}[colour]
    assert bits == 8
    raw, stride, rows, last = zlib.decompress(packed), width * n, [], bytearray(width * n)
    for y in range(height):
        kind, row = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for i in range(stride if kind else 0):
            a, b, c = row[i - n] if i >= n else 0, last[i], last[i - n] if i >= n else 0
            p = [abs(b - c), abs(a - c), abs(a + b - 2 * c)]
            paeth = a if p[0] <= p[1] and p[0] <= p[2] else b if p[1] <= p[2] else c
            row[i] = (row[i] + [0, a, b, (a + b) // 2, paeth][kind]) & 255
        rows.append(row)
        last = row
    return rows, n


class Browser:
    def __init__(self, program, folder):
        self.command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                        "--force-device-scale-factor=1", "--virtual-time-budget=5000", f"--user-data-dir={folder}/profile"]

    def run(self, *arguments):
        return subprocess.run([*self.command, *arguments], capture_output=True, text=True, timeout=100).stdout

    def dom(self, path):
        return self.run(f"--window-size={WIDTH},{HEIGHT}", "--dump-dom", path.as_uri())

    def screenshot(self, path, width, height, out):
        self.run(f"--window-size={width},{height}", f"--screenshot={out}", path.as_uri())
        return read_png(out)


class Checks:
    failed = 0

    def __call__(self, what, good, *seen):
        if not good:
            self.failed += 1
            print("FAILED:", what, *seen)


def inset(clip):
    """'inset(top right bottom left)' -> the four lengths."""
    v = [float(x) for x in re.findall(r"([\d.]+)(?:px)?", clip)]
    return {1: v * 4, 2: v * 2, 3: v + v[1:2], 4: v}[len(v)]


def check_events(browser, page, check):
    text = page.read_text().replace("</body>", ACTIONS + "</body>")
    page.with_name("acting.html").write_text(text)
    dom = browser.dom(page.with_name("acting.html"))
    found = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.S)
    if not found:
        return check("the page ran its script", False, dom[:300])
    seen = json.loads(html.unescape(found[1]))
    width, height = seen["stage"]
    near = lambda a, b, by=0.6: abs(a - b) <= by
    start, wheel = seen["start"], seen["wheel"]
    fit = min(width / 64, height / 48)
    check("the page opens fitted and in the middle", near(start["zoom"], 100 * fit, 1) and near(start["bar"], width / 2) and
          near(start["x"], (width - 64 * fit) / 2) and near(start["y"], (height - 48 * fit) / 2), start, seen["stage"])
    check("the left picture ends where the right one begins", near(
        start["x"] + fit * (64 - inset(start["clips"][0])[1]), width / 2) and near(
        start["x"] + 2 * fit * inset(start["clips"][1])[3], width / 2), start)
    check("the wheel zooms by a quarter", near(wheel["width"] / start["width"], 1.25, 0.001), wheel)
    check("at the pointer", near((300 - wheel["x"]) / wheel["width"], (300 - start["x"]) / start["width"], 0.001) and
          near((100 - wheel["y"]) / wheel["width"], (100 - start["y"]) / start["width"], 0.001), wheel)
    slid = seen["slid"]
    check("the bar follows the pointer", near(slid["bar"], width / 4) and slid["x"] == wheel["x"], slid)
    check("and the pictures the bar", near(
        slid["x"] + fit * 1.25 * (64 - inset(slid["clips"][0])[1]), width / 4), slid)
    moved = seen["moved"]
    check("dragging moves both", near(moved["x"] - slid["x"], 30) and near(moved["y"] - slid["y"], 20) and
          moved["bar"] == slid["bar"], moved)
    check("an arrow moves the bar by a hundredth", near(seen["arrow"]["bar"] - slid["bar"], width / 100), seen["arrow"])
    check("space shows the right one while it is held", seen["space"]["bar"] == 0 and
          seen["released"]["bar"] == seen["arrow"]["bar"], seen["space"])
    check("1:1 is 100 %", seen["one"]["zoom"] == 100 and near(seen["one"]["width"], 64), seen["one"])
    check("fit fits again", near(seen["fit"]["width"], start["width"]), seen["fit"])
    check("swap changes places", (seen["swap"]["left"], seen["swap"]["right"]) == ("1", "0"), seen["swap"])
    check("a row chooses the right picture", seen["row"]["right"] == "1", seen["row"])
    check("the difference is one, made stronger", seen["difference"] == "normal brightness(4)" or
          seen["difference"] == "difference brightness(4)", seen["difference"])


def pixels(shot, column, row):
    """Of one page within the screenshot, as {(x, y): (r, g, b)} on every third pixel."""
    rows, n = shot
    return {(x, y): tuple(rows[y + row * SIDE[1]][(x + column * SIDE[0]) * n:][:3])
            for y in range(0, SIDE[1], 3) for x in range(0, SIDE[0], 3)}


def main():
    upscale, model = sys.argv[1:]
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not program:
        print("no Chromium is installed")
        return 77
    check = Checks()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        browser = Browser(program, folder)
        (folder / "blank.html").write_text("<p>it starts</p>")
        try:
            starts = "it starts" in browser.dom(folder / "blank.html")
        except subprocess.TimeoutExpired:
            starts = False
        if not starts:
            print("Chromium does not start here")
            return 1 if os.environ.get("CI") else 77
        run = lambda *a: subprocess.run([upscale, *map(str, a)], check=True, capture_output=True, text=True)
        red, blue, ramp = folder / "red.png", folder / "blue & .png", folder / "ramp.png"
        write_png(red, 64, 48, lambda x, y: (220, 20, 30))
        write_png(blue, 32, 24, lambda x, y: (10, 40, 230))  # half the size: shown as large
        write_png(ramp, 64, 48, lambda x, y: (4 * x, 5 * y, 200))
        run("compare", red, blue, "--html", folder / "page.html")
        check_events(browser, folder / "page.html", check)

        # A list of several: its thumbnails load, its links lead to pages that run.
        run(red, blue, folder / "several/", "-m", model, "--report", folder / "list.html")
        listed = (folder / "list.html").read_text().replace("</body>", LISTED + "</body>")
        (folder / "listed.html").write_text(listed.replace(' loading="lazy"', ""))
        found = re.search(r'<pre id="seen">(.*?)</pre>', browser.dom(folder / "listed.html"), re.S)
        links = json.loads(html.unescape(found[1])) if found else []
        check("the list shows both pictures", [width for _, width in links] == [128, 64], links)
        for link, _ in links:
            page = Path(urllib.parse.unquote(urllib.parse.urlparse(link).path))
            check(f"the page {page.name} runs", re.search(r'id="zoom">[0-9.]+ %<', browser.dom(page)))

        # What is painted: a page with the two pictures, and each report twice, all source and all result. The result
        # is the source resampled, so that both must look alike wherever they are.
        reports = [["--crop", "52x40+37+21"], ["--size", "90x90", "--fit", "cover", "--gravity", "west"],
                   ["--size", "90x90", "--fit", "contain"]]
        frames = [("page.html#split=0.25", 0, 0), ("page.html#zoom=40&x=63&y=1", 1, 0)]
        for i, options in enumerate(reports):
            run(ramp, folder / "out.png", "-m", model, "--blend", "1", *options, "--report", folder / f"report{i}.html")
            frames += [(f"report{i}.html#split=1", i, 1), (f"report{i}.html#split=0", i, 2)]
        (folder / "all.html").write_text("<body style='margin:0'>" + "".join(
            f"<iframe src='{src}' style='position:absolute;border:0;left:{c * SIDE[0]}px;top:{r * SIDE[1]}px;"
            f"width:{SIDE[0]}px;height:{SIDE[1]}px'></iframe>" for src, c, r in frames))
        shot = browser.screenshot(folder / "all.html", 3 * SIDE[0], 3 * SIDE[1] + 100, folder / "shot.png")
        is_red, is_blue = (lambda p: p[0] > 200 and p[2] < 60), (lambda p: p[0] < 40 and p[2] > 200)
        two = pixels(shot, 0, 0)
        reds, blues = ([x for (x, _), p in two.items() if test(p)] for test in (is_red, is_blue))
        check("both pictures are there", len(reds) > 500 and len(blues) > 500, len(reds), len(blues))
        check("left and right of the bar", max(reds, default=0) <= SIDE[0] / 4 <= min(blues, default=0) + 1,
              max(reds, default=0), min(blues, default=0))
        corner = pixels(shot, 1, 0)
        check("a linked place is in the middle", {k for k in corner if is_blue(corner[k])} and all(
            x <= SIDE[0] / 2 + 41 for (x, _), p in corner.items() if is_blue(p)))
        for i, options in enumerate(reports):
            source, result = pixels(shot, i, 1), pixels(shot, i, 2)
            inside = [k for k in source if all(abs(s[k][2] - 200) < 8 for s in (source, result))]
            either = [k for k in source if any(abs(s[k][2] - 200) < 8 for s in (source, result))]
            apart = sum(abs(source[k][c] - result[k][c]) for k in inside for c in (0, 1)) / max(1, 2 * len(inside))
            check(f"the report of {options} shows both", len(inside) > 1500 and len(inside) > 0.93 * len(either),
                  len(inside), len(either))
            check(f"source and result of {options} line up", apart < 2.5, apart)  # half a source pixel is 2 or 2.5
    print("failed" if check.failed else "all good")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
