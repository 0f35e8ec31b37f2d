"""PNG files of every kind, made by hand as PngSuite has them, with the pixels they mean."""

import random
import struct
import zlib

GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6
DEPTHS = {GRAY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GRAY_ALPHA: (8, 16), RGBA: (8, 16)}
SAMPLES = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGBA: 4}
SIDES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 32, 33, 34, 35, 36, 37, 38, 39, 40)
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # Adam7


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed(row, bits):
    """[samples] numbers -> bytes, the first in the highest bits."""
    if bits == 16:
        return b"".join(struct.pack(">H", v) for v in row)
    out, per = bytearray(), 8 // bits
    for i in range(0, len(row), per):
        part = row[i:i + per] + [0] * (per - len(row[i:i + per]))
        byte = 0
        for v in part:
            byte = byte << bits | v
        out.append(byte)
    return bytes(out)


def filtered(line, above, px, kind):
    out = bytearray([kind])
    for i, v in enumerate(line):
        left = line[i - px] if i >= px else 0
        up_left = above[i - px] if i >= px else 0
        up = above[i]
        if kind == 4:
            p = left + up - up_left
            guess = min((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - up_left), 2, up_left))[2]
        else:
            guess = (0, left, up, (left + up) // 2)[kind]
        out.append((v - guess) & 255)
    return bytes(out)


def scanlines(rows, bits, samples, kinds):
    """rows [h][w * samples] of one pass -> filtered bytes; kinds: the filter of the next line."""
    px, above, out = max(bits * samples // 8, 1), None, []
    for row in rows:
        line = packed(row, bits)
        out.append(filtered(line, above or bytes(len(line)), px, next(kinds)))
        above = line
    return b"".join(out)


def split(stream, how, r):
    """The compressed stream as IDAT chunks."""
    if how == "whole":
        return chunk(b"IDAT", stream)
    if how == "bytes":
        return b"".join(chunk(b"IDAT", stream[i:i + 1]) for i in range(len(stream)))
    out, at = chunk(b"IDAT", b""), 0
    while at < len(stream):
        n = r.choice((1, 2, 7, 50, 300))
        out += chunk(b"IDAT", stream[at:at + n]) + (chunk(b"IDAT", b"") if r.random() < 0.2 else b"")
        at += n
    return out


EXTRAS = (
    b"",
    chunk(b"gAMA", struct.pack(">I", 45455)),
    chunk(b"sRGB", b"\0") + chunk(b"gAMA", struct.pack(">I", 45455)),
    chunk(b"gAMA", struct.pack(">I", 45455)) +
    chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
)


def full(v, bits):
    """A sample as one of 16 bits."""
    return v * 65535 // ((1 << bits) - 1)


def picture(r, colour, bits, interlaced, transparent, side, number):
    """(bytes, width, height, [(r, g, b, a)] of 16 bits)."""
    width, height = side, r.choice(SIDES[:9]) if number % 2 else side
    samples, most = SAMPLES[colour], (1 << bits) - 1
    palette, alphas = [], []
    if colour == PALETTE:
        entries = r.choice((most + 1, r.randint(1, most + 1)))
        palette = [[r.randrange(256) for _ in range(3)] for _ in range(entries)]
        alphas = [r.randrange(256) for _ in range(r.randint(1, entries))] if transparent else []
        most = entries - 1
    rows = [[r.randint(0, most) for _ in range(width * samples)] for _ in range(height)]
    key = None
    if transparent and colour in (GRAY, RGB):  # of a pixel that is there
        at = r.randrange(width) * samples
        key = r.choice(rows)[at:at + samples]

    head = EXTRAS[number % len(EXTRAS)]
    if number % 3 == 0:
        head += chunk(b"sBIT", bytes([min(bits if colour != PALETTE else 8, 5)] * {GRAY: 1, PALETTE: 3}.get(colour, samples)))
    body = b""
    if palette:
        body += chunk(b"PLTE", bytes(v for entry in palette for v in entry))
    if alphas:
        body += chunk(b"tRNS", bytes(alphas))
    if key:
        body += chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))
    if number % 5 == 0:
        body += chunk(b"bKGD", b"\0" if colour == PALETTE else bytes(2 * (3 if colour in (RGB, RGBA) else 1)))

    kind = number % 6  # one filter throughout, or mixed
    kinds = iter(lambda: r.randrange(5) if kind == 5 else kind, None)
    if interlaced:
        data = b""
        for x0, y0, dx, dy in PASSES:
            part = [[v for x in range(x0, width, dx) for v in row[x * samples:(x + 1) * samples]]
                    for row in rows[y0::dy]]
            if part and part[0]:
                data += scanlines(part, bits, samples, kinds)
    else:
        data = scanlines(rows, bits, samples, kinds)
    stream = zlib.compress(data, number % 10)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    out = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + head + body +
           split(stream, ("whole", "bytes", "mixed")[number % 3], r) + chunk(b"IEND", b""))

    pixels = []
    for row in rows:
        for x in range(width):
            v = row[x * samples:(x + 1) * samples]
            alpha = 65535
            if colour == PALETTE:
                if v[0] < len(alphas):
                    alpha = alphas[v[0]] * 257
                v = [c * 257 for c in palette[v[0]]]
            else:
                if key == v:
                    alpha = 0
                v = [full(c, bits) for c in v]
                if samples in (2, 4):
                    alpha = v.pop()
            pixels.append((v[0], v[1 % len(v)], v[2 % len(v)], alpha))
    return out, width, height, pixels


def pictures(seed):
    """(name, bytes, width, height, pixels)..."""
    r, number = random.Random(seed), 0
    for colour, depths in DEPTHS.items():
        for bits in depths:
            for interlaced in (False, True):
                for transparent in (False, True) if colour in (GRAY, RGB, PALETTE) else (False,):
                    for side in SIDES if not transparent else r.sample(SIDES, 4):
                        number += 1
                        name = f"{number:04}-colour{colour}-{bits}{'-adam7' * interlaced}{'-trns' * transparent}.png"
                        yield name, *picture(r, colour, bits, interlaced, transparent, side, number)
