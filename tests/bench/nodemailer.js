// Personal messages by nodemailer: pool of 50 connections, handlebars templates, signed where a key is given.
// usage: node nodemailer.js CSV PORT MESSAGES TEMPLATE.html TEMPLATE.txt [KEY SELECTOR]
const fs = require("fs");
const path = require("path");
const here = (name) => require(path.join(process.cwd(), "node_modules", name));
const nodemailer = here("nodemailer"), handlebars = here("handlebars");

const [file, port, messages, htmlFile, textFile, key, selector] = process.argv.slice(2);
const html = handlebars.compile(fs.readFileSync(htmlFile, "utf8"));
const text = handlebars.compile(fs.readFileSync(textFile, "utf8"), {noEscape: true});
const [head, ...rows] = fs.readFileSync(file, "utf8").split("\n", +messages + 1).map((line) => line.split(","));
const out = nodemailer.createTransport({
	host: "127.0.0.1", port: +port, pool: true, maxConnections: 50, maxMessages: Infinity, ignoreTLS: true,
	dkim: key ? {domainName: "books.example", keySelector: selector, privateKey: fs.readFileSync(key, "utf8")} : undefined,
});

async function send() {
	for (let row = rows.shift(); row; row = rows.shift()) {
		const person = Object.fromEntries(head.map((name, i) => [name, row[i]]));
		person.unsubscribe_url = `https://books.example/u?t=${Buffer.from(person.email).toString("base64url")}`;
		await out.sendMail({
			from: "Kyoto Books <news@books.example>", to: person.email, subject: `${person.first_name}, the June list is here`,
			envelope: {from: `b-${row[0].split("@")[0]}@bounces.books.example`, to: person.email},
			headers: {"Feedback-ID": "june:kyoto", Precedence: "bulk", "List-Id": "News <news.books.example>",
				"List-Unsubscribe": `<${person.unsubscribe_url}>`, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
			html: html(person), text: text(person),
		});
	}
}

Promise.all(Array.from({length: 100}, send)).then(() => out.close(), (e) => {
	console.error(e);
	process.exit(1);
});
