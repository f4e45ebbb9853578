"""render: one template with data and partials, and the line protocol for conformance suites."""
import json


def answers(w, *queries, options=()):
	lines = "".join((q if isinstance(q, str) else json.dumps(q)) + "\n" for q in queries)
	out = w.run("render", "--batch", *options, stdin=lines.encode()).out
	return [json.loads(line) for line in out.splitlines()]


def test_file_with_data_and_partials(w):
	w.write("data.json", '{"name": "<Ann>", "price": 1234.5, "books": [{"t": "A & B"}, {"t": "C"}]}')
	w.write("book.html", "<li>{{ book.t }}</li>")
	w.write("page.html", "{{ name }} {{ price | money: 'EUR' }} {% for b in books %}{% render 'book.html', book: b %}{% endfor %}\n")
	w.write("page.txt", "{{ name }} {{ 0 | date: '%A', 'de' }}\n")
	assert w.run("render", "--data", "data.json", "page.html").out == "&lt;Ann&gt; €1,234.50 <li>A &amp; B</li><li>C</li>\n"
	assert w.run("render", "--data", "data.json", "page.txt").out == "<Ann> Donnerstag\n"
	assert w.run("render", "--locale", "de", "--data", "data.json", "page.html").out.startswith("&lt;Ann&gt; 1.234,50\u00a0€ ")
	assert "Unknown filter 'money'" in w.run("render", "--plain", "--data", "data.json", "page.html", expect=65).err
	assert w.run("render", "--plain", "-", stdin=b"{{ '<' }}{{ x }}").out == "<"


def test_errors_name_their_place(w):
	w.write("bad.html", "one\n  {{ x | nope }}\n")
	r = w.run("render", "bad.html", expect=65)
	assert "bad.html:2" in r.err and "nope" in r.err and r.out == "", r
	w.write("up.html", "{% render '../secret' %}")
	assert w.run("render", "up.html", expect=(65, 66)).out == ""
	w.write("stop.html", "{% abort_message('no reason') %}")
	assert "no reason" in w.run("render", "stop.html", expect=1).err
	w.run("render", expect=64)
	w.run("render", "--batch", "bad.html", expect=64)
	w.run("render", "missing.html", expect=66)
	w.write("data.json", "[1]")
	w.run("render", "--data", "data.json", "bad.html", expect=65)


def test_batch_answers_every_line(w):
	got = answers(w, {"template": "{{ a | plus: 1 }}", "data": {"a": 1}},
		"not json", "[]", {"template": 5}, {"template": "a\n {{ x", "data": None},
		{"template": "{{ 1 | modulo: 0 }}b{% render 'p', x: 'é' %}", "templates": {"p": "({{ x }})"}},
		{"template": "{% case 1 %}{% when 1 2 %}x{% endcase %}"},
		{"template": "{% case 1 %}{% when 1 2 %}x{% endcase %}", "mode": "strict2"},
		{"template": "{{ x }}\u0000", "data": {"x": "\u0000"}})
	assert got[0] == {"result": "2"}, got
	assert all("error" in a and "output" not in a for a in got[1:5]), got
	assert (got[4]["line"], got[4]["column"]) == (2, 2), got
	assert got[5] == {"error": "divided by 0", "line": 1, "column": 8, "output": "Liquid error (line 1): divided by 0b(é)"}, got
	assert got[6] == {"result": "x"} and "error" in got[7], got
	assert got[8] == {"result": "\0\0"}, got
	assert answers(w, {"template": "{{ '5' | money: 'JPY' }}"}, options=["--profile"]) == [{"result": "¥5"}]
