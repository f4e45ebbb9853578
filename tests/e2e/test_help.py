"""Every command explains itself."""
import re


def test_every_command_is_explained(w):
	overview = w.run("help").out
	commands = re.findall(r"^  ([a-z]+)\b", overview, re.M)
	assert {"send", "import", "contact", "serve", "help"} <= set(commands), overview
	for name in commands:
		text = w.run("help", name).out
		assert f"postrider {name}" in text and w.run(name, "--help").out == text, text
	assert "postrider contact forget" in w.run("help", "contact", "forget").out


def test_what_there_is_not(w):
	for words in (["nonsense"], ["contact", "nonsense"]):
		assert " ".join(words) in w.run("help", *words, expect=64).err
