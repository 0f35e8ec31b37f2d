// What the browser gets, as it gets it.
#include "apps/compare/page_text.h"

namespace ups::apps {

const char* const kPageStyle = R"(
* { box-sizing: border-box; }
html, body { height: 100%; margin: 0; }
body { display: flex; flex-direction: column; background: #1c1d1f; color: #d8d9db;
  font: 14px/1.4 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 8px; padding: 8px 12px; }
header label { display: flex; align-items: center; gap: 6px; min-width: 0; }
.space { flex: 1; }
select, button { font: inherit; color: inherit; background: #2e3034; border: 1px solid #45484e; border-radius: 6px;
  padding: 3px 10px; height: 30px; max-width: 34vw; }
button:hover, select:hover { background: #3a3d42; }
button[aria-pressed=true] { background: #d8d9db; color: #1c1d1f; }
:focus-visible { outline: 2px solid #7ab0ff; outline-offset: 1px; }
#zoom { min-width: 4.5em; text-align: right; font-variant-numeric: tabular-nums; color: #a4a7ad; }
#stage { position: relative; flex: 1; min-height: 240px; overflow: hidden; background: #0f1011; cursor: grab;
  touch-action: none; user-select: none; }
#stage.moving { cursor: grabbing; }
#paper { position: absolute; left: 0; top: 0;
  background: repeating-conic-gradient(#1d1e20 0 25%, #26282b 0 50%) 0 0 / 24px 24px; }
#layer { position: absolute; inset: 0; isolation: isolate; }
#layer img { position: absolute; left: 0; top: 0; transform-origin: 0 0; max-width: none; }
#layer img.pixels { image-rendering: pixelated; }
.difference #layer { filter: brightness(4); }
.difference #layer img.right { mix-blend-mode: difference; }
.difference #bar, .difference .name { display: none; }
#bar { position: absolute; top: 0; bottom: 0; width: 24px; margin-left: -12px; cursor: ew-resize; }
#bar::before { content: ""; position: absolute; top: 0; bottom: 0; left: 11px; width: 2px; background: #fff;
  box-shadow: 0 0 3px #000; }
#bar::after { content: "\2039\2002\203a"; position: absolute; top: 50%; left: -6px; width: 36px; height: 36px;
  margin-top: -18px; border-radius: 50%; background: #fff; color: #1c1d1f; box-shadow: 0 1px 5px #000a;
  font: 600 18px/32px system-ui, sans-serif; text-align: center; }
.name { position: absolute; top: 10px; max-width: 45%; padding: 2px 10px; border-radius: 6px; background: #000a;
  color: #fff; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; pointer-events: none; }
#name-left { left: 10px; }
#name-right { right: 10px; }
footer { max-height: 32vh; overflow: auto; padding: 4px 12px 8px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 14px 4px 0; text-align: right; white-space: nowrap; border-bottom: 1px solid #34363a; }
th { font-weight: normal; color: #a4a7ad; }
tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left; }
th:last-child, td:last-child { padding-left: 14px; }
tr[data-picture] { cursor: pointer; }
tr[data-picture]:hover td { color: #fff; }
@media (max-width: 640px) { .space { display: none; } select { max-width: 32vw; } }
.hint { color: #8a8d93; font-size: 12.5px; margin: 6px 0 0; }
)";

const char* const kIndexStyle = R"(
body { margin: 16px 20px; background: #1c1d1f; color: #d8d9db; font: 14px/1.4 system-ui, sans-serif; color-scheme: dark; }
h1 { font-size: 16px; font-weight: 600; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 14px 6px 0; text-align: right; white-space: nowrap; border-bottom: 1px solid #34363a; }
th { font-weight: normal; color: #a4a7ad; }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left; }
th:last-child, td:last-child { padding-left: 14px; white-space: normal; }
a { display: flex; align-items: center; gap: 12px; color: #9cc4ff; text-decoration: none; }
a:hover { text-decoration: underline; }
img { width: 96px; height: 96px; object-fit: contain; background: #0f1011; border-radius: 4px; }
)";

const char* const kPageScript = R"(
const $ = id => document.getElementById(id);
const stage = $('stage'), bar = $('bar'), left = $('left'), right = $('right');
const pictures = [...document.querySelectorAll('#layer img')];
const clamp = (v, low, high) => Math.min(Math.max(v, low), high);
let zoom = 1, x = 0, y = 0;      // frame pixels to those of the stage: X = x + zoom * frame pixel
let split = 0.5, shown = null;   // of the stage; shown: while space is held, the whole right picture
let smooth = false, fitted = true;
function draw() {
  const at = (shown ?? split) * stage.clientWidth, difference = stage.classList.contains('difference');
  bar.style.left = at + 'px';
  Object.assign($('paper').style, {transform: `translate(${x}px, ${y}px)`, width: frame[0] * zoom + 'px',
    height: frame[1] * zoom + 'px'});
  // Edges between pixels would be a bright line there.
  const [l, t, r, b] = [Math.ceil(x), Math.ceil(y), Math.floor(x + frame[0] * zoom), Math.floor(y + frame[1] * zoom)];
  $('layer').style.clipPath = difference ?
    `inset(${t}px ${stage.clientWidth - r}px ${stage.clientHeight - b}px ${l}px)` : 'none';
  pictures.forEach((p, i) => {
    const [px, py, pw, ph] = places[i], nw = p.naturalWidth, nh = p.naturalHeight;
    const isLeft = i == left.value, isRight = i == right.value;
    p.hidden = !isLeft && !isRight;
    if (p.hidden) return;
    p.style.zIndex = isRight ? 1 : 0;
    p.style.transform = `translate(${x + zoom * px}px, ${y + zoom * py}px) scale(${zoom * pw / nw}, ${zoom * ph / nh})`;
    let [x0, x1] = [-px, frame[0] - px].map(v => clamp(v / pw * nw, 0, nw));  // the frame in its pixels
    const [y0, y1] = [-py, frame[1] - py].map(v => clamp(v / ph * nh, 0, nh));
    const edge = ((at - x) / zoom - px) / pw * nw;
    if (!difference && isLeft && !isRight) x1 = clamp(edge, x0, x1);
    if (!difference && isRight && !isLeft) x0 = clamp(edge, x0, x1);
    p.style.clipPath = `inset(${y0}px ${nw - x1}px ${nh - y1}px ${x0}px)`;
    p.className = (isRight && !isLeft ? 'right' : 'left') + (zoom > 1.5 && !smooth ? ' pixels' : '');
  });
  $('name-left').textContent = left.selectedOptions[0].text;
  $('name-right').textContent = right.selectedOptions[0].text;
  $('zoom').textContent = (zoom < 0.1 ? (zoom * 100).toFixed(1) : Math.round(zoom * 100)) + ' %';
}
function fit() {
  zoom = Math.min(stage.clientWidth / frame[0], stage.clientHeight / frame[1]);
  x = (stage.clientWidth - frame[0] * zoom) / 2; y = (stage.clientHeight - frame[1] * zoom) / 2;
  fitted = true; draw();
}
function zoomTo(to, sx = stage.clientWidth / 2, sy = stage.clientHeight / 2) {
  to = clamp(to, 0.01, 64);
  x = sx - (sx - x) * to / zoom; y = sy - (sy - y) * to / zoom;
  zoom = to; fitted = false; draw();
}
function move(dx, dy) { x += dx; y += dy; fitted = false; draw(); }
function splitAt(v) { split = clamp(v, 0, 1); draw(); }
function press(button, on) { button.setAttribute('aria-pressed', on); draw(); }
function within(e) {
  const r = stage.getBoundingClientRect();
  return [e.clientX - r.left, e.clientY - r.top];
}
stage.addEventListener('wheel', e => {
  e.preventDefault();
  zoomTo(zoom * Math.exp(clamp(-e.deltaY, -120, 120) / 120 * Math.log(1.25)), ...within(e));
}, {passive: false});
const pointers = new Map();  // those that are down; the bar is dragged by its first
let onBar = false;
stage.addEventListener('pointerdown', e => {
  if (e.button) return;
  onBar = pointers.size == 0 && e.target == bar;
  pointers.set(e.pointerId, within(e));
  stage.classList.toggle('moving', !onBar);
  stage.setPointerCapture(e.pointerId);
});
stage.addEventListener('pointermove', e => {
  const before = pointers.get(e.pointerId);
  if (!before) return;
  const now = within(e), other = [...pointers].find(([id]) => id != e.pointerId)?.[1];
  pointers.set(e.pointerId, now);
  if (onBar) return splitAt(now[0] / stage.clientWidth);
  if (!other) return move(now[0] - before[0], now[1] - before[1]);
  const apart = p => Math.hypot(p[0] - other[0], p[1] - other[1]);
  if (apart(before) > 0) zoomTo(zoom * apart(now) / apart(before), other[0], other[1]);
});
for (const name of ['pointerup', 'pointercancel']) stage.addEventListener(name, e => {
  pointers.delete(e.pointerId);
  if (!pointers.size) onBar = false;
  stage.classList.toggle('moving', pointers.size > 0 && !onBar);
});
stage.addEventListener('dblclick', e => e.target == bar ? splitAt(0.5) : fit());
$('fit').onclick = fit;
$('one').onclick = () => zoomTo(1);
$('swap').onclick = () => { [left.value, right.value] = [right.value, left.value]; draw(); };
$('diff').onclick = e => press(e.target, stage.classList.toggle('difference'));
$('smooth').onclick = e => press(e.target, smooth = !smooth);
for (const button of document.querySelectorAll('button'))  // the next space is not for the button
  button.addEventListener('click', e => { if (e.detail) button.blur(); });
left.onchange = right.onchange = draw;
for (const row of document.querySelectorAll('tr[data-picture]'))
  row.onclick = () => { right.value = row.dataset.picture; draw(); };
addEventListener('resize', () => fitted ? fit() : draw());
addEventListener('keydown', e => {
  if (e.target.tagName == 'SELECT' || e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.target.tagName == 'BUTTON' && e.key == ' ') return;
  const step = e.shiftKey ? 0.1 : 0.01;
  const act = {ArrowLeft: () => splitAt(split - step), ArrowRight: () => splitAt(split + step),
    '+': () => zoomTo(zoom * 1.25), '=': () => zoomTo(zoom * 1.25), '-': () => zoomTo(zoom / 1.25),
    '0': fit, '1': () => zoomTo(1), s: () => $('swap').click(), d: () => $('diff').click(),
    ' ': () => { shown = 0; draw(); }}[e.key];
  if (!act) return;
  e.preventDefault(); act();
});
addEventListener('keyup', e => {
  if (e.key != ' ' || shown === null) return;
  e.preventDefault(); shown = null; draw();
});
addEventListener('blur', () => { shown = null; pointers.clear(); draw(); });
addEventListener('load', () => {
  fit();
  // A place to link to: page.html#split=0.3&zoom=4&x=120&y=80, x and y the frame pixel in the middle.
  const asked = new URLSearchParams(location.hash.slice(1)), number = name => parseFloat(asked.get(name));
  if (number('zoom') > 0) zoomTo(number('zoom'));
  if (!isNaN(number('x') + number('y')))
    move(stage.clientWidth / 2 - zoom * number('x') - x, stage.clientHeight / 2 - zoom * number('y') - y);
  if (number('split') >= 0) splitAt(number('split'));
});
)";

}  // namespace ups::apps
