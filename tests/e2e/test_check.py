"""check: a message for its audience, and finished messages."""
import json

from harness import MESSAGE

GOOD = MESSAGE.replace("<p>Dear", "<html lang=en><title>June</title><p>Dear")


def lines(result):
	return [json.loads(line) for line in result.out.splitlines()]


def begin(w, count=40):
	w.configure(2525)
	return w.audience(count)


def test_good_message(w):
	begin(w)
	w.message(GOOD)
	found = lines(w.run("check", "june.html", "--list", "news", "--strict", "--json"))
	assert [f["id"] for f in found] == ["composed"] and found[0]["severity"] == "pass", found


def test_undefined_name_fails(w):
	begin(w)
	w.message(GOOD.replace("{{ city }}", "{{ citty }}"))
	found = {f["id"]: f for f in lines(w.run("check", "june.html", "--list", "news", "--json", expect=1))}
	assert found["undefined-name"]["severity"] == "fail" and "city" in found["undefined-name"]["remedy"], found
	assert found["undefined-name"]["where"].endswith("june.html:5"), found


def test_what_is_left_of_the_example(w):
	"""A sender of one's own, and the example's page: whoever clicks on the link would find nothing there."""
	def left(sender):
		w.message(f"From: News <news@{sender}>\nSubject: Hi\n\n<p>Hi, <a href=\"{{{{ unsubscribe_url }}}}\">unsubscribe</a></p>\n")
		found = lines(w.run("--json", "check", "june.html", "--list", "news", expect=(0, 1)))
		said = "still the example's" in w.run("send", "june.html", "--list", "news", "--dry-run").err
		texts = [f["text"] for f in found if f["id"] == "example-left"]
		assert said == bool(texts)
		return texts
	w.configure(25)
	w.audience(2)
	assert left("books.example") == []
	assert left("kyotobooks.jp") == ["`url` of [unsubscribe] is still the example's: what is sent there is lost"]


def test_some_recipients(w):
	addresses = begin(w)
	w.message(GOOD.replace("{{ city }}", "{% if city == 'Kyoto' %}{{ 1 | divided_by: 0 }}{% endif %}"))
	found = {f["id"]: f for f in lines(w.run("check", "june.html", "--list", "news", "--json", expect=1))}
	failed = found["cannot-be-composed"]
	assert failed["recipients"] == len(addresses) / 4 and failed["first"] == addresses[0], found
	assert "composed for 30 recipients" in found["composed"]["text"], found


def test_some_of_those_read_closely(w):
	begin(w, 3000)
	w.message(GOOD.replace("{{ city }}", "{% if city == 'Kyoto' %}<a href='http://192.0.2.1/'>here</a>{% endif %}"))
	found = {f["id"]: f for f in lines(w.run("check", "june.html", "--list", "news", "--json"))}["link-suspicious"]
	assert 0 < found["found"] < found["read"] < 3000 and "first" in found and "recipients" not in found, found


def test_warnings_fail_only_when_strict(w):
	begin(w)
	w.message(GOOD.replace("Dear {{ first_name | default: \"reader\" }},", "Dear ,"))
	assert "greeting-empty" in w.run("check", "june.html", "--list", "news").out
	w.run("check", "june.html", "--list", "news", "--strict", expect=1)


def test_nobody_and_nothing(w):
	begin(w)
	w.message()
	w.run("check", "june.html", expect=64)
	w.run("check", "june.html", "june.html", "--list", "news", expect=64)
	w.run("check", "july.html", "--list", "news", expect=66)
	w.run("check", "june.html", "--list", "news", "--where", "city = 'nowhere'", expect=66)


def test_finished_message(w):
	begin(w)
	w.message(GOOD)
	source = w.run("preview", "june.html", "--list", "news", "--part", "source").out.replace("\r\n", "\n").replace("\n", "\r\n")
	w.write("good.eml", "")
	with open(w.path("good.eml"), "w", newline="") as f:
		f.write(source)
	with open(w.path("bad.eml"), "w", newline="") as f:
		f.write(source.replace("MIME-Version: 1.0\r\n", ""))
	assert w.run("check", "--source", "--strict", "good.eml").out == ""
	found = lines(w.run("check", "--source", "--json", "good.eml", "bad.eml", expect=1))
	assert [(f["id"], f["file"]) for f in found] == [("mime-version-missing", "bad.eml")], found
	assert lines(w.run("check", "--source", "--json", "-", stdin=source.encode())) == []
	w.run("check", "--source", "none.eml", expect=66)
