"""BMP, TGA and Netpbm files of every kind, made by hand, with the pixels they mean."""

import random
import struct


def u16(*v):
    return struct.pack(f"<{len(v)}H", *v)


def u32(*v):
    return struct.pack(f"<{len(v)}i", *v)


def wide(v, bits=8):
    """A sample of so many bits as one of 16."""
    most = (1 << bits) - 1
    return (v * 65535 + most // 2) // most


def gray_pixels(rows, most):
    return [(wide_of(v, most),) * 3 + (65535,) for row in rows for v in row]


def wide_of(v, most):
    return (v * 65535 + most // 2) // most


def noise(r, width, height, most, samples=1):
    return [[r.randint(0, most) for _ in range(width * samples)] for _ in range(height)]


# --- BMP -------------------------------------------------------------------------------------------------


def bmp(width, height, bits, lines, palette=b"", compression=0, masks=b"", core=False):
    """lines: the packed rows in file order, or the whole compressed stream."""
    data = lines if isinstance(lines, bytes) else b"".join(line + bytes(-len(line) % 4) for line in lines)
    if core:
        info = u32(12) + u16(width, height, 1, bits)
    else:
        info = u32(40, width, height) + u16(1, bits) + u32(compression, len(data), 2835, 2835, len(palette) // 4, 0)
    head = info + masks + palette
    return b"BM" + u32(14 + len(head) + len(data)) + u16(0, 0) + u32(14 + len(head)) + head + data


def bits_packed(row, bits):
    out, per = bytearray(), 8 // bits
    for i in range(0, len(row), per):
        byte = 0
        for v in (row[i:i + per] + [0] * per)[:per]:
            byte = byte << bits | v
        out.append(byte)
    return bytes(out)


def runs(row, r, nibbles):
    """One row as encoded and absolute runs."""
    out, at = b"", 0
    while at < len(row):
        n = min(r.randint(1, 9), len(row) - at)
        part = row[at:at + n]
        if n >= 3 and r.random() < 0.5:
            data = bits_packed(part, 4) if nibbles else bytes(part)
            out += bytes([0, n]) + data + bytes(len(data) % 2)
        elif nibbles:
            out += b"".join(bytes([1, v << 4]) for v in part)
        else:
            same = 1
            while same < n and part[same] == part[0]:
                same += 1
            n = same
            out += bytes([n, part[0]])
        at += n
    return out + b"\0\0"


def bmps(r):
    for bits in (1, 4, 8):
        for core in (False, True):
            for top_down in (False, True) if not core else (False,):
                w, h = r.randint(1, 40), r.randint(1, 9)
                colours = [[r.randrange(256) for _ in range(3)] for _ in range(1 << bits)]  # b, g, r
                rows = noise(r, w, h, (1 << bits) - 1)
                palette = b"".join(bytes(c) + b"\0" * (not core) for c in colours)
                lines = [bits_packed(row, bits) for row in (rows if top_down else rows[::-1])]
                want = [tuple(257 * v for v in colours[v][::-1]) + (65535,) for row in rows for v in row]
                yield (f"{bits}{'-core' * core}{'-down' * top_down}.bmp",
                       bmp(w, -h if top_down else h, bits, lines, palette, core=core), w, h, want)
    for bits in (4, 8):
        for case in range(3):
            w, h = r.randint(1, 40), r.randint(1, 9)
            colours = [[r.randrange(256) for _ in range(3)] for _ in range(1 << bits)]
            rows = [[v for v in row] for row in noise(r, w, h, 2 if case else (1 << bits) - 1)]
            stream = b"".join(runs(row, r, bits == 4) for row in rows[::-1]) + b"\0\1"
            if case == 2:  # the last row but for its first pixel is jumped over
                if w < 3 or h < 2:
                    continue
                stream = b"".join(runs(row, r, bits == 4) for row in rows[:0:-1])
                stream += bytes([1, rows[0][0] << 4 if bits == 4 else rows[0][0], 0, 2, 1, 0, 0, 1])
                rows[0] = rows[0][:1] + [0] * (w - 1)
            palette = b"".join(bytes(c) + b"\0" for c in colours)
            want = [tuple(257 * v for v in colours[v][::-1]) + (65535,) for row in rows for v in row]
            yield f"rle{bits}-{case}.bmp", bmp(w, h, bits, stream, palette, 2 if bits == 4 else 1), w, h, want
    for name, masks, widths in (("555", b"", (5, 5, 5)), ("565", u32(0xF800, 0x07E0, 0x001F), (5, 6, 5))):
        w, h = r.randint(1, 20), r.randint(1, 9)
        rows = [[tuple(r.randrange(1 << n) for n in widths) for _ in range(w)] for _ in range(h)]
        lines = [b"".join(u16(c[0] << (widths[1] + 5) | c[1] << 5 | c[2]) for c in row) for row in rows[::-1]]
        want = [tuple(wide(v, n) for v, n in zip(c, widths)) + (65535,) for row in rows for c in row]
        yield f"{name}.bmp", bmp(w, h, 16, lines, b"", 3 if masks else 0, masks), w, h, want
    for samples in (3, 4):
        w, h = r.randint(1, 20), r.randint(1, 9)
        rows = noise(r, w, h, 255, 3)
        px = [[row[3 * x:3 * x + 3] for x in range(w)] for row in rows]
        lines = [b"".join(bytes(c[::-1]) + b"\0" * (samples - 3) for c in row) for row in px[::-1]]
        yield (f"{8 * samples}.bmp", bmp(w, h, 8 * samples, lines), w, h,
               [tuple(257 * v for v in c) + (65535,) for row in px for c in row])


# --- TGA -------------------------------------------------------------------------------------------------


def tga_runs(row, r):
    """[pixels] bytes each -> packets."""
    out, at = b"", 0
    while at < len(row):
        n = 1
        while at + n < len(row) and n < 128 and row[at + n] == row[at]:
            n += 1
        if n > 1 or r.random() < 0.3:
            out += bytes([127 + n]) + row[at]
        else:
            n = min(r.randint(1, 5), len(row) - at)
            out += bytes([n - 1]) + b"".join(row[at:at + n])
        at += n
    return out


def tgas(r):
    for kind, bits in ((1, 8), (2, 16), (2, 24), (2, 32), (3, 8)):
        for rle in (False, True):
            for down in (False, True):
                w, h = r.randint(1, 30), r.randint(1, 9)
                palette, px, want = b"", [], []
                colours = [bytes(r.randrange(256) for _ in range(3)) for _ in range(256)]
                if kind == 1:
                    palette = b"".join(colours)
                for _ in range(h):
                    line = []
                    for _ in range(w):
                        if kind == 1:
                            v = r.randrange(256)
                            line.append(bytes([v]))
                            want.append(tuple(257 * c for c in colours[v][::-1]) + (65535,))
                        elif kind == 3:
                            v = r.randrange(4) * 60
                            line.append(bytes([v]))
                            want.append((257 * v,) * 3 + (65535,))
                        elif bits == 16:
                            c = [r.randrange(32) for _ in range(3)]
                            line.append(u16(c[0] << 10 | c[1] << 5 | c[2]))
                            want.append(tuple(wide(v, 5) for v in c) + (65535,))
                        else:
                            c = bytes(r.randrange(3) * 99 for _ in range(3)) + bytes([r.randint(1, 255)])[:bits // 8 - 3]
                            line.append(c)
                            want.append(tuple(257 * v for v in c[2::-1]) + (257 * c[3] if bits == 32 else 65535,))
                    px.append(line)
                order = px if down else px[::-1]
                data = b"".join(tga_runs(line, r) if rle else b"".join(line) for line in order)
                head = bytes([3, int(kind == 1), kind + 8 * rle]) + u16(0, 256 if kind == 1 else 0)
                head += bytes([24 if kind == 1 else 0]) + u16(0, 0, w, h)
                head += bytes([bits, (32 if down else 0) | (8 if bits == 32 else 0)])
                yield (f"{kind}-{bits}{'-rle' * rle}{'-down' * down}.tga", head + b"id." + palette + data, w, h, want)


# --- Netpbm ----------------------------------------------------------------------------------------------


def netpbm(r):
    w, h = r.randint(1, 30), r.randint(1, 9)
    bits = noise(r, w, h, 1)
    want = gray_pixels([[1 - v for v in row] for row in bits], 1)
    yield "1.pbm", b"P1\n# a comment\n%d %d\n" % (w, h) + "\n".join("".join(map(str, row)) for row in bits).encode(), w, h, want
    yield "1s.pbm", b"P1 %d %d " % (w, h) + " ".join(str(v) for row in bits for v in row).encode() + b"\n", w, h, want
    yield "4.pbm", b"P4\n%d %d\n" % (w, h) + b"".join(bits_packed(row, 1) for row in bits), w, h, want
    for most in (1, 10, 100, 255, 256, 1000, 4095, 65535):
        fmt = ">B" if most < 256 else ">H"
        w, h = r.randint(1, 30), r.randint(1, 9)
        rows, rgb = noise(r, w, h, most), noise(r, w, h, most, 3)
        gray = [(level(v, most),) * 3 + (65535,) for row in rows for v in row]
        colour = [tuple(level(v, most) for v in row[3 * x:3 * x + 3]) + (65535,) for row in rgb for x in range(w)]
        raw = b"".join(struct.pack(fmt, v) for row in rows for v in row)
        raw3 = b"".join(struct.pack(fmt, v) for row in rgb for v in row)
        head = b"%d %d # sizes\n%d\n" % (w, h, most)
        yield f"2-{most}.pgm", b"P2\n" + head + " ".join(str(v) for row in rows for v in row).encode(), w, h, gray
        yield f"3-{most}.ppm", b"P3\n" + head + "\n".join(str(v) for row in rgb for v in row).encode(), w, h, colour
        yield f"5-{most}.pgm", b"P5\n" + head + raw, w, h, gray
        yield f"6-{most}.ppm", b"P6\n" + head + raw3, w, h, colour
        for depth, kind in ((1, b"GRAYSCALE"), (2, b"GRAYSCALE_ALPHA"), (3, b"RGB"), (4, b"RGB_ALPHA")):
            px = noise(r, w, h, most, depth)
            pam = b"P7\n# comment\nWIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL %d\nTUPLTYPE %s\nENDHDR\n" % (w, h, depth, most, kind)
            want = []
            for row in px:
                for x in range(w):
                    v = [level(s, most) for s in row[x * depth:(x + 1) * depth]]
                    alpha = v.pop() if depth % 2 == 0 else 65535
                    want.append((v[0], v[1 % len(v)], v[2 % len(v)], alpha))
            yield f"7-{depth}-{most}.pam", pam + b"".join(struct.pack(fmt, v) for row in px for v in row), w, h, want


def level(v, most):
    """As decoded: 8 bits up to 255, else 16; rounded to the nearest."""
    whole = 255 if most < 256 else 65535
    return (v * whole + most // 2) // most * (65535 // whole)


def pictures(seed):
    r = random.Random(seed)
    for make in (bmps, tgas, netpbm):
        yield from make(r)
