#!/usr/bin/env python3
"""What other programs say of the files upscale writes: exiftool, pngcheck and ImageMagick, as far as they are there.

  tests/apps/independent_tools.py build/upscale model.pth

One PNG with texts, EXIF, XMP, a profile and a resolution goes to every format of the build, and from there to a PNG again.
Exit code 77 (skipped) without any of the tools.
"""

import json
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

SIDE = 24
# What each format carries of: the camera's name, the resolution, our own name, the profile, XMP, texts.
EVERYTHING = {"Make", "XResolution", "Software", "ProfileDescription", "Title", "Orientation", "XPTitle", "Rating", "ISO",
              "LensModel", "UserComment", "InteropIndex", "GPSLatitude", "GPSLongitude", "ExifImageWidth"}
CARRIES = {
    "png": EVERYTHING | {"Parameters", "Comment"},
    "jpg": EVERYTHING | {"Comment"},
    "webp": EVERYTHING,
    "tif": EVERYTHING,
    "avif": EVERYTHING,
    "jxl": EVERYTHING - {"ProfileDescription"},  # kept, but compressed in a way that exiftool does not read
    "bmp": set(), "tga": set(), "ppm": set(),
}
WANTED = {"Make": "Camera Co", "XResolution": 300, "Software": "upscale", "ProfileDescription": "a display",
          "Title": "evening", "Orientation": 1, "XPTitle": "dusk", "Rating": 4, "ISO": 400, "LensModel": "Lens 50",
          "UserComment": "windy", "InteropIndex": "R98", "GPSLatitude": 48.125, "GPSLongitude": 11.5, "Parameters": "a cat, 20 steps", "Comment": "by the sea"}
MAGICK_READS = {"png", "jpg", "webp", "tif", "bmp", "tga", "ppm"}


def exif():
    """What cameras note, little-endian: 300 dpi, turned by a quarter, exposure, position."""
    def directory(at, fields):
        """fields: tag, type, count, value. Longer values lie behind it."""
        entries, values, behind = b"", b"", at + 2 + 12 * len(fields) + 4
        for tag, kind, count, value in sorted(fields):
            if len(value) > 4:
                value, values = struct.pack("<I", behind + len(values)), values + value + bytes(len(value) % 2)
            entries += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
        return struct.pack("<H", len(fields)) + entries + bytes(4) + values

    def text(tag, value, kind=2):
        return tag, kind, len(value), value

    def degrees(value):
        return struct.pack("<6I", int(value), 1, int(value * 60 % 60 * 1000), 1000, 0, 1)

    dpi, word = struct.pack("<II", 300, 1), lambda value: struct.pack("<H", value)
    out = b"II*\0" + bytes(4)
    places = {}
    for name, fields in (
            ("interoperability", lambda: [text(1, b"R98\0")]),
            ("exif", lambda: [(0x8827, 3, 1, word(400)), text(0xA434, b"Lens 50\0"), text(0x9286, b"ASCII\0\0\0windy", 7),
                              (0xA002, 3, 1, word(SIDE)), (0xA003, 3, 1, word(SIDE)),
                              (0xA005, 4, 1, struct.pack("<I", places["interoperability"]))]),
            ("gps", lambda: [text(1, b"N\0"), (2, 5, 3, degrees(48.125)), text(3, b"E\0"), (4, 5, 3, degrees(11.5))]),
            ("first", lambda: [text(0x010F, b"Camera Co\0"), (0x0112, 3, 1, word(6)), (0x011A, 5, 1, dpi), (0x011B, 5, 1, dpi),
                               (0x0128, 3, 1, word(2)), (0x4746, 3, 1, word(4)), text(0x9C9B, "dusk\0".encode("utf-16le"), 1),
                               (0x8769, 4, 1, struct.pack("<I", places["exif"])), (0x8825, 4, 1, struct.pack("<I", places["gps"]))])):
        places[name] = len(out)
        out += directory(len(out), fields())
    return out[:4] + struct.pack("<I", places["first"]) + out[8:]


def profile():
    """A display profile of three primaries and a gamma of 2.2 (ICC.1:2001-04)."""
    def fixed(*values):
        return b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    def xyz(*values):
        return b"XYZ \0\0\0\0" + fixed(*values)

    name = b"a display\0"
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    tags = [(b"desc", b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78)),
            (b"cprt", b"text\0\0\0\0none\0"), (b"wtpt", xyz(0.9642, 1, 0.8249)),
            (b"rXYZ", xyz(0.4361, 0.2225, 0.0139)), (b"gXYZ", xyz(0.3851, 0.7169, 0.0971)),
            (b"bXYZ", xyz(0.1431, 0.0606, 0.7141)), (b"rTRC", curve), (b"gTRC", curve), (b"bTRC", curve)]
    table, data = struct.pack(">I", len(tags)), b""
    for kind, body in tags:
        body += bytes(-len(body) % 4)
        table += kind + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(data), len(body))
        data += body
    head = (struct.pack(">I4s4s", 128 + len(table) + len(data), b"none", b"\2\x40\0\0") + b"mntrRGB XYZ " +
            struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(24) + bytes(4) + fixed(0.9642, 1, 0.8249))
    return head + bytes(128 - len(head)) + table + data


XMP = ("<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF "
       "xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about='' "
       "xmlns:dc='http://purl.org/dc/elements/1.1/'><dc:title><rdf:Alt><rdf:li xml:lang='x-default'>evening</rdf:li>"
       "</rdf:Alt></dc:title></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>").encode()


def png():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    noise = random.Random(1)
    rows = b"".join(b"\0" + noise.randbytes(SIDE * 3) for _ in range(SIDE))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)) +
            chunk(b"iCCP", b"p\0\0" + zlib.compress(profile())) + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP) +
            chunk(b"tEXt", b"Comment\0by the sea") + chunk(b"pHYs", struct.pack(">IIB", 11811, 11811, 1)) + chunk(b"eXIf", exif()) +
            chunk(b"tEXt", b"parameters\0a cat, 20 steps") + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def main():
    upscale, model = sys.argv[1:]
    tools = {name: shutil.which(name) for name in ("exiftool", "pngcheck", "identify")}
    if not any(tools.values()):
        print("none of exiftool, pngcheck and identify is installed")
        return 77
    failures = []

    def check(ok, what):
        if not ok:
            failures.append(what)
            print("FAILED:", what)

    def output(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def tags_are(path, carried, what):
        code, text = output("exiftool", "-j", "-n", "-G1", str(path))
        found = json.loads(text)[0] if code == 0 else {}
        tags = {key.split(":")[-1]: value for key, value in found.items()}
        for tag in sorted(carried):
            value = tags.get(tag, "")
            if tag == "XResolution":
                value = round(tags["PixelsPerUnitX"] * 0.0254 if "PixelsPerUnitX" in tags else value or 0)
            if tag == "ExifImageWidth":
                fits = value == 2 * SIDE
            else:
                fits = value == WANTED[tag] if tag != "Software" else str(value).startswith("upscale")
            check(fits, f"{what}: exiftool says {tag} is {value!r}")

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in.png")
        source.write_bytes(png())
        built = output(upscale, "formats")[1]
        for extension, carried in CARRIES.items():
            line = next((l for l in built.splitlines() if f" {extension} " in l), "")
            if "write" not in line:
                continue
            target = Path(folder, "out." + extension)
            code, text = output(upscale, str(source), str(target), "-m", model)
            check(code == 0, f"{extension}: upscale ended with {code}: {text}")
            if tools["exiftool"] and carried:
                tags_are(target, carried, extension)
                # And back: PNG holds all that the format kept.
                back = Path(folder, f"back_{extension}.png")
                code, text = output(upscale, str(target), str(back), "-m", model, "-s", "1")
                check(code == 0, f"{extension}: going back to PNG ended with {code}: {text}")
                tags_are(back, carried, f"{extension}, back in a PNG")
            if tools["identify"] and extension in MAGICK_READS:
                text = subprocess.run(["identify", "-format", "%w %h %z", str(target)], capture_output=True, text=True).stdout
                check(text.split() == [str(2 * SIDE), str(2 * SIDE), "8"], f"{extension}: identify says {text}")
            if tools["pngcheck"] and extension == "png":
                code, text = output("pngcheck", "-q", str(target))
                check(code == 0, f"png: pngcheck says {text}")
    print(f"{len(failures)} failures, with", ", ".join(name for name, path in tools.items() if path))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
