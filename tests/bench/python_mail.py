"""Personal messages by Python's standard library (string.Template, email, smtplib), a process for each core.
usage: python_mail.py CSV PORT MESSAGES TEMPLATE.html TEMPLATE.txt"""
import csv
import html
import itertools
import multiprocessing
import smtplib
import string
import sys
from email.message import EmailMessage


def send(part, parts, file, port, messages, html_file, text_file):
	templates = [string.Template(open(f, encoding="utf-8").read()) for f in (html_file, text_file)]
	with open(file, newline="", encoding="utf-8") as f, smtplib.SMTP("127.0.0.1", int(port), timeout=60) as out:
		for person in itertools.islice(csv.DictReader(f), part, int(messages), parts):
			person["unsubscribe_url"] = "https://books.example/u?t=" + person["email"].encode().hex()
			m = EmailMessage()
			m["From"], m["To"], m["Subject"] = "Kyoto Books <news@books.example>", person["email"], f"{person['first_name']}, the June list is here"
			m["List-Unsubscribe"], m["List-Unsubscribe-Post"] = f"<{person['unsubscribe_url']}>", "List-Unsubscribe=One-Click"
			m.set_content(templates[1].substitute(person))
			m.add_alternative(templates[0].substitute({k: html.escape(v) for k, v in person.items()}), subtype="html")
			out.send_message(m)


if __name__ == "__main__":
	parts = multiprocessing.cpu_count()
	workers = [multiprocessing.Process(target=send, args=(i, parts, *sys.argv[1:])) for i in range(parts)]
	for w in workers:
		w.start()
	for w in workers:
		w.join()
	sys.exit(any(w.exitcode for w in workers))
