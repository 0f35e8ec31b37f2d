// The page: markup, style and script below, pictures as data URIs.
#include "apps/compare_page.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/failure.h"
#include "apps/metrics.h"
#include "apps/pixel_format.h"

namespace ups::apps {
namespace {

constexpr int kMostSide = 8192;  // browsers show no larger pictures reliably

const char* const kHead = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<style>
body { margin: 0; font: 14px/1.4 system-ui, sans-serif; background: #222; color: #ddd; }
header, table { margin: 8px 12px; }
select, button { font: inherit; }
#stage { position: relative; height: 72vh; overflow: hidden; background: #111; cursor: grab; touch-action: none; }
#stage img { position: absolute; left: 0; top: 0; transform-origin: 0 0; max-width: none; user-select: none; }
#stage .zoomed { image-rendering: pixelated; }
#bar { position: absolute; top: 0; bottom: 0; width: 3px; margin-left: -1px; background: #fff; cursor: ew-resize; }
#bar::after { content: "\2194"; position: absolute; top: 50%; left: -13px; width: 28px; height: 28px; line-height: 26px;
  text-align: center; border-radius: 50%; background: #fff; color: #222; }
.label { position: absolute; top: 8px; padding: 2px 8px; background: #000a; pointer-events: none; }
table { border-collapse: collapse; } th, td { padding: 3px 12px; border-bottom: 1px solid #444; text-align: right; }
th:first-child, td:first-child { text-align: left; }
</style>
)";

const char* const kScript = R"(
<script>
const stage = document.getElementById('stage'), bar = document.getElementById('bar');
const left = document.getElementById('left'), right = document.getElementById('right');
const pictures = [...document.querySelectorAll('#stage img')];
let width = 1, height = 1;  // of the largest picture; all are shown at its size
let zoom = 1, x = 0, y = 0, split = 0.5, drag = null, moved = false;
function fit() {
  zoom = Math.min(stage.clientWidth / width, stage.clientHeight / height);
  x = (stage.clientWidth - width * zoom) / 2; y = (stage.clientHeight - height * zoom) / 2; moved = false; draw();
}
function draw() {
  const at = split * stage.clientWidth;
  bar.style.left = at + 'px';
  pictures.forEach((p, i) => {
    const s = zoom * width / p.naturalWidth, t = zoom * height / p.naturalHeight;
    const edge = Math.min(Math.max((at - x) / s, 0), p.naturalWidth);
    const isLeft = i == left.value, isRight = i == right.value;
    p.style.display = isLeft || isRight ? '' : 'none';
    p.style.transform = `translate(${x}px, ${y}px) scale(${s}, ${t})`;
    p.style.clipPath = isLeft && isRight ? 'none' :
      isLeft ? `inset(0 ${p.naturalWidth - edge}px 0 0)` : `inset(0 0 0 ${edge}px)`;
    p.className = zoom > 1.5 ? 'zoomed' : '';
  });
  document.getElementById('name-left').textContent = left.selectedOptions[0].text;
  document.getElementById('name-right').textContent = right.selectedOptions[0].text;
  document.getElementById('zoom').textContent = Math.round(zoom * 100) + ' %';
}
function zoomAt(factor, px, py) {
  const to = Math.min(Math.max(zoom * factor, 0.02), 64);
  x = px - (px - x) * to / zoom; y = py - (py - y) * to / zoom; zoom = to; moved = true; draw();
}
stage.addEventListener('wheel', e => {
  e.preventDefault();
  const r = stage.getBoundingClientRect();
  zoomAt(e.deltaY < 0 ? 1.25 : 0.8, e.clientX - r.left, e.clientY - r.top);
}, {passive: false});
stage.addEventListener('pointerdown', e => {
  drag = {bar: e.target == bar, px: e.clientX, py: e.clientY}; stage.setPointerCapture(e.pointerId);
});
stage.addEventListener('pointermove', e => {
  if (!drag) return;
  if (drag.bar) {
    split = Math.min(Math.max((e.clientX - stage.getBoundingClientRect().left) / stage.clientWidth, 0), 1);
  } else { x += e.clientX - drag.px; y += e.clientY - drag.py; moved = true; }
  drag.px = e.clientX; drag.py = e.clientY; draw();
});
stage.addEventListener('pointerup', () => drag = null);
stage.addEventListener('dblclick', fit);
document.getElementById('fit').onclick = fit;
document.getElementById('one').onclick = () => zoomAt(1 / zoom, stage.clientWidth / 2, stage.clientHeight / 2);
left.onchange = right.onchange = draw;
addEventListener('resize', () => moved ? draw() : fit());
addEventListener('keydown', e => {
  if (e.target.tagName == 'SELECT') return;
  if (e.key == 'ArrowLeft') split = Math.max(split - 0.02, 0);
  else if (e.key == 'ArrowRight') split = Math.min(split + 0.02, 1);
  else if (e.key == '+') return zoomAt(1.25, stage.clientWidth / 2, stage.clientHeight / 2);
  else if (e.key == '-') return zoomAt(0.8, stage.clientWidth / 2, stage.clientHeight / 2);
  else return;
  draw();
});
addEventListener('load', () => {
  const largest = pictures.reduce((a, b) => b.naturalWidth > a.naturalWidth ? b : a);
  width = largest.naturalWidth; height = largest.naturalHeight;
  fit();
});
</script></body></html>
)";

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

std::string base64(const std::string& bytes) {
  static const char* const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve(bytes.size() / 3 * 4 + 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t v = 0;
    for (size_t k = 0; k < 3; k++) v = v << 8 | (i + k < bytes.size() ? uint8_t(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; k++) out += i + k > bytes.size() ? '=' : digits[v >> (18 - 6 * k) & 63];
  }
  return out;
}

// A file that is gone when this is.
struct Scratch {
  std::string path;
  explicit Scratch(const std::string& beside) : path(beside + "." + std::to_string(getpid()) + ".png") {}
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
};

std::string png_bytes(const Image& picture, const std::string& page) {
  Image out = allocate_image(picture.width, picture.height, picture.channels, picture.depth);
  std::copy_n(picture.pixels.get(), picture.bytes(), out.pixels.get());
  out = convert_depth(std::move(out), UPS_U8);
  if (int side = std::max(out.width, out.height); side > kMostSide) {
    const double f = double(kMostSide) / side;
    Image small = allocate_image(std::max(1, int(out.width * f)), std::max(1, int(out.height * f)),
                                 out.channels, UPS_U8);
    ups_image from = out.view(), to = small.view();
    check(ups_resize(&from, &to, UPS_FILTER_BICUBIC));
    out = std::move(small);
  }
  Scratch scratch(page);
  OutputFile file(scratch.path);
  write_image(file, Format::png, std::move(out), {});
  return read_file(scratch.path, int64_t(1) << 31);
}

}  // namespace

void write_compare_page(const std::string& path, const std::string& title,
                        const std::vector<PagePicture>& pictures,
                        const std::vector<std::vector<std::string>>& cells) {
  OutputFile file(path);
  auto put = [&](const std::string& s) { file.write(s.data(), s.size()); };
  put(kHead);
  put("<title>" + escaped(title) + "</title></head><body>\n<header>");
  for (const char* side : {"left", "right"}) {
    put(std::string(side) + " <select id=\"" + side + "\">");
    const size_t chosen = *side == 'l' ? 0 : pictures.size() - 1;
    for (size_t i = 0; i < pictures.size(); i++) {
      put("<option value=\"" + std::to_string(i) + "\"" + (i == chosen ? " selected" : "") + ">" +
          escaped(pictures[i].name) + "</option>");
    }
    put("</select> ");
  }
  put("<button id=\"fit\">fit</button> <button id=\"one\">1:1</button> <span id=\"zoom\"></span> &nbsp; "
      "wheel: zoom, "
      "drag: move, drag the bar or arrow keys: compare</header>\n<div id=\"stage\">");
  for (const PagePicture& p : pictures) {
    put("<img alt=\"\" draggable=\"false\" src=\"data:image/png;base64,");
    put(base64(png_bytes(*p.pixels, path)));
    put("\">\n");
  }
  put("<div id=\"bar\"></div><div class=\"label\" style=\"left:8px\" id=\"name-left\"></div>"
      "<div class=\"label\" style=\"right:8px\" id=\"name-right\"></div></div>\n<table>");
  for (size_t r = 0; r < cells.size(); r++) {
    put("<tr>");
    for (const std::string& c : cells[r]) put((r ? "<td>" : "<th>") + escaped(c));
    put("\n");
  }
  put("</table>");
  put(kScript);
  file.commit();
}

void write_report(const std::string& in, const std::string& out, const std::string& model,
                  const std::string& page) {
  const Image source = read_image(in), result = read_image(out);
  auto size = [](const Image& i) { return std::to_string(i.width) + "x" + std::to_string(i.height); };
  auto name = [](const std::string& path) { return std::filesystem::path(path).filename().string(); };
  std::vector<std::vector<std::string>> cells = {{"picture", "size", "made by"},
                                                 {name(in), size(source), "the source"},
                                                 {name(out), size(result), model}};
  write_compare_page(page, name(in) + " and " + name(out), {{name(in), &source}, {name(out), &result}},
                     cells);
}

}  // namespace ups::apps
