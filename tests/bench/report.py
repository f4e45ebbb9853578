"""The report of all results that are there, and the figures of docs/PERFORMANCE.md."""
import json
import os
import re

import harness
from growth import plots
from measure import results
from targets import TARGETS

BUSY = 10  # percent of the machine used by others, from which on a figure is marked
PAGE = os.path.join(harness.TOP, "docs", "PERFORMANCE.md")
IN_PAGE = ("plain", "dkim", "tls", "others")  # whose tables are on that page


def load(quick):
	"""{name of the benchmark: what it saved}."""
	found, folder = {}, results(quick)
	for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
		if name.endswith(".json"):
			with open(os.path.join(folder, name)) as f:
				found[name[:-5]] = json.load(f)
	return found


# ---- tables ----

def figure(value):
	return "" if value is None else f"{value:,.{0 if abs(value) >= 100 else 1}f}"


def series_table(series):
	columns = [("rate", "a second"), ("spread", "least to most"), ("cpu_us", "CPU µs each"), ("rss", "peak MiB"), ("sink_us", "sink's CPU µs"),
		("sink_busy", "sink's core busy %"), ("by_cpu", "a second by CPU"), ("whole", "whole command s")]
	have = [c for c in columns if c[0] == "spread" or any(c[0] in s["median"] for s in series)]
	lines = ["| | " + " | ".join(title for _, title in have) + " |", "|---|" + "---|" * len(have)]
	for s in series:
		rates = [x["rate"] for x in s["samples"]]
		cells = [f"{figure(min(rates))} – {figure(max(rates))}" if key == "spread" else figure(s["median"].get(key)) for key, _ in have]
		lines.append(f"| {s['name']} | " + " | ".join(cells) + " |")
	return lines


def target_rows(found):
	"""One dict for each target, measured or not."""
	for t in TARGETS:
		r = found.get(t.bench)
		value = (r or {}).get("targets", {}).get(t.key)
		row = {"key": t.key, "what": t.what, "bench": t.bench, "wanted": f"{'≥' if t.sign == '>=' else '≤'} {t.show(t.bound)}", "met": None}
		if value is None:
			row["why"] = "failed" if r and r["error"] else "not measured" if r else f"not run: `make bench T={t.bench}`"
		else:
			spread = "" if value["least"] == value["most"] else f"{t.show(value['least'])} – {t.show(value['most'])}"
			row.update(value, met=t.met(value["value"]), shown=t.show(value["value"]), spread=spread, others_percent=r["others_percent"])
		yield row


def target_table(rows):
	lines = ["| target | wanted | measured | least to most | |", "|---|---|---|---|---|"]
	for r in rows:
		if r["met"] is None:
			lines.append(f"| {r['what']} | {r['wanted']} | {r['why']} | | |")
		else:
			busy = f" (busy machine: {r['others_percent']:.0f} %)" if r["others_percent"] > BUSY else ""
			lines.append(f"| {r['what']} | {r['wanted']} | {r['shown']} | {r['spread']} | {'met' if r['met'] else '**missed**'}{busy} |")
	measured = sum(r["met"] is not None for r in rows)
	missed = len(rows) - measured
	return lines + ["", f"{sum(bool(r['met']) for r in rows)} of {measured} measured targets are met"
		+ (f"; {missed} were not measured." if missed else ".")]


def machines(found):
	return [m + "." for m in sorted({r["machine"] for r in found.values()})]


def section(name, r):
	lines = [f"## {r['title']}", ""]
	if r["error"]:
		lines += [f"**Failed**: {r['error'].strip().splitlines()[0]}", ""]
	if r["series"]:
		lines += [*series_table(r["series"]), ""]
	lines += [x for text in [*r["texts"], *r["notes"]] for x in (text, "")]
	return lines + [f"`make bench T={name}`, {r['date']}, {r['commit']}, {r['seconds']:.0f} s; other programs used {r['others_percent']:.0f} % of "
		"the machine.", ""]


# ---- files ----

def write(quick, order):
	"""Writes report.md, report.json and the plots. Returns the table of targets."""
	found, folder = load(quick), os.path.dirname(results(quick))
	rows = list(target_rows(found))
	head = ["# Measured beside others", ""]
	if quick:
		head += ["Quick: small counts, short rounds. What depends on size is measured by the full `make bench`.", ""]
	head += [*machines(found), "", "Ratios are medians of the ratios within a round: figures of a machine drift, and the peers ran in the same minutes. "
		"*A second by CPU* is what all cores would do if both ends never waited.",
		"", *target_table(rows), ""]
	lines = list(head)
	for name in sorted(found, key=lambda n: (order.index(n) if n in order else len(order), n)):
		lines += section(name, found[name])
	drawn = list(plots(found, os.path.join(folder, "plots")))
	if drawn:
		lines += ["## Plots", "", *(f"![{name}](plots/{name})" for name in drawn), ""]
	with open(os.path.join(folder, "report.md"), "w") as f:
		f.write("\n".join(lines))
	with open(os.path.join(folder, "report.json"), "w") as f:
		json.dump({"targets": rows, "benches": found}, f, indent=1)
	return "\n".join(head)


def write_page():
	"""Puts the figures and plots of the full runs into docs/PERFORMANCE.md, between its marks."""
	found = load(False)
	with open(PAGE) as f:
		page = f.read()

	def put(mark, lines):
		nonlocal page
		text = "\n".join(lines).strip()
		page, n = re.subn(f"(<!-- {mark} -->\n).*?(<!-- end -->)", lambda m: m[1] + text + "\n" + m[2], page, count=1, flags=re.S)
		assert n == 1, mark
	dates = sorted({r["date"][:10] for r in found.values()})
	put("figures", [*machines(found), f"Measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))}.", "", *target_table(list(target_rows(found)))])
	tables = []
	for name in IN_PAGE:
		if name in found:
			tables += [f"**{found[name]['title']}**", "", *series_table(found[name]["series"]), ""]
			tables += [x for text in found[name]["texts"] for x in (text, "")]
	put("tables", tables)
	drawn = plots(found, os.path.join(os.path.dirname(PAGE), "plots"))
	put("plots", [f"![{name[:-4]}](plots/{name})" for name in drawn])
	with open(PAGE, "w") as f:
		f.write(page)
