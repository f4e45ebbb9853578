"""Plots as small SVG files: lines over a logarithmic or plain x axis, y from 0."""
import math
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 320, 56, 24, 46, 48
COLOURS = ["#1b6ca8", "#c8553d", "#4f772d", "#7b4b94", "#946c00"]


def nice(top):
	"""The end of a y axis with four or five even steps, and the step."""
	step = 10 ** math.floor(math.log10(top / 4))
	step *= next(m for m in (1, 2, 5, 10) if top / (step * m) <= 5)
	return math.ceil(top / step - 1e-9) * step, step


def words(n):
	if n >= 1e6:
		return f"{n / 1e6:g} M"
	return f"{n / 1e3:g} k" if n >= 1e3 else f"{n:g}"


def plot(path, title, x_title, y_title, lines, log=True):
	"""lines: {name: [(x, y), …]}."""
	points = [p for line in lines.values() for p in line]
	if not points:
		return False
	scale = (lambda x: math.log10(x)) if log else float
	low, high = (f(scale(x) for x, _ in points) for f in (min, max))
	top, step = nice(max(y for _, y in points) or 1)

	def at(x, y):
		across = (scale(x) - low) / (high - low) if high > low else 0.5
		return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM)
	out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
		f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>', f'<text x="{LEFT}" y="18" font-size="14">{escape(title)}, {escape(y_title)}</text>']
	for i in range(round(top / step) + 1):
		y = at(points[0][0], i * step)[1]
		out += [f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>', f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{words(i * step)}</text>']
	for x in sorted({x for x, _ in points}):
		out.append(f'<text x="{at(x, 0)[0]:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{words(x)}</text>')
	out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_title)}</text>')
	for i, (name, line) in enumerate(lines.items()):
		colour, line = COLOURS[i % len(COLOURS)], sorted(line)
		out.append(f'<path d="M{" L".join("%.1f %.1f" % at(*p) for p in line)}" fill="none" stroke="{colour}" stroke-width="2"/>')
		out += ['<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (*at(*p), colour) for p in line]
		if len(lines) > 1:
			at_x = LEFT + i * 130
			out += [f'<path d="M{at_x} 32h16" stroke="{colour}" stroke-width="3"/>', f'<text x="{at_x + 20}" y="36">{escape(name)}</text>']
	with open(path, "w") as f:
		f.write("\n".join([*out, "</svg>", ""]))
	return True
