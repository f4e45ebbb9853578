/* Every rule of the lint, with what to do about it. Ids are stable: scripts name them. */
#ifndef TEMPLATES_LINT_RULES_H
#define TEMPLATES_LINT_RULES_H

/* clang-format off */
/* X(id as an enum, id, severity, remedy) */
#define LINT_RULES(ROW) \
	/* lines */ \
	ROW(BARE_LF, "bare-lf", FAIL, "end every line with CR LF; some servers refuse the message, others split it in two") \
	ROW(BARE_CR, "bare-cr", FAIL, "remove the lone CR, or make it CR LF") \
	ROW(NUL, "nul-byte", FAIL, "remove it: mail may not hold NUL bytes, and servers refuse or cut such a message") \
	ROW(CONTROL, "control-character", WARN, "remove the control character") \
	ROW(LINE_LENGTH, "line-too-long", FAIL, "encode the part as quoted-printable or base64; lines end at 998 bytes") \
	ROW(HEADER_LENGTH, "header-line-too-long", FAIL, "fold the header at a blank; lines end at 998 bytes") \
	ROW(HEADER_FOLD, "header-line-long", INFO, "fold the header at a blank before column 78") \
	/* header fields */ \
	ROW(HEADER_COLON, "header-without-colon", FAIL, "a header line is \"Name: value\"; a line that goes on begins with a blank") \
	ROW(HEADER_NAME, "header-name", FAIL, "header names are ASCII letters, digits and hyphens, with the colon right behind them") \
	ROW(HEADER_END, "header-end-missing", FAIL, "put an empty line between the header and the body") \
	ROW(HEADER_8BIT, "header-8bit", FAIL, "encode it as RFC 2047 asks (=?utf-8?…?=)") \
	ROW(HEADER_TWICE, "header-twice", FAIL, "keep one; receivers refuse such mail, or show the one that you did not mean") \
	ROW(HEADER_EMPTY, "header-empty", WARN, "fill it in or leave it out") \
	ROW(HEADER_BCC, "header-forbidden", FAIL, \
		"remove it; if you did not write it, a value with a line break in it did: see where the value comes from") \
	ROW(HEADER_INJECTED, "header-injected", WARN, \
		"if you did not write it, a value with a line break in it did: see where the value comes from") \
	ROW(HEADER_UNKNOWN, "header-unknown", INFO, "look whether the name is spelt right, and take it out if nobody reads it") \
	ROW(HEADER_IN_BODY, "header-in-body", FAIL, \
		"an empty line ended the header too early: see which value holds a line break") \
	ROW(DATE_MISSING, "date-missing", FAIL, "add a Date") \
	ROW(DATE_FORM, "date-malformed", FAIL, "write it as \"Tue, 1 Dec 2026 09:00:00 +0900\"") \
	ROW(DATE_ZONE, "date-zone", WARN, "write the zone as a number: +0900") \
	ROW(FROM_MISSING, "from-missing", FAIL, "add a From with one address") \
	ROW(FROM_MANY, "from-many", FAIL, "give one address") \
	ROW(ADDRESS_QUOTES, "address-needs-quotes", FAIL, "write the name in quotes: \"Kyoto Books, Inc.\" <news@books.example>") \
	ROW(ADDRESS_FORM, "address-malformed", FAIL, "write it as Name <name@domain.example>") \
	ROW(TO_MISSING, "to-missing", FAIL, "add a To with the recipient's address") \
	ROW(TO_MANY, "to-many", WARN, "send each recipient a message of their own: others should not see the address") \
	ROW(REPLY_SAME, "reply-to-recipient", WARN, "a Reply-To that is the recipient's own address looks like spam; leave it out") \
	ROW(ID_MISSING, "message-id-missing", FAIL, "add a Message-ID") \
	ROW(ID_FORM, "message-id-malformed", FAIL, "write it as <unique@your-domain.example>, with the brackets") \
	ROW(ID_HOST, "message-id-host", WARN, "put your domain behind the @, not the name of a computer") \
	ROW(MIME_MISSING, "mime-version-missing", FAIL, "add MIME-Version: 1.0") \
	ROW(MIME_FORM, "mime-version-form", WARN, "write MIME-Version: 1.0, in that case exactly") \
	ROW(SUBJECT_MISSING, "subject-missing", FAIL, "add a Subject") \
	ROW(SUBJECT_EMPTY, "subject-empty", FAIL, "write a subject; where it is a value, give it a default") \
	ROW(SUBJECT_GAP, "subject-gap", WARN, "give the value a default: {{ first_name | default: \"Reader\" }}") \
	ROW(SUBJECT_REPLY, "subject-false-reply", WARN, "take Re: or Fwd: away: this is no reply, and filters know the trick") \
	ROW(SUBJECT_SHOUTS, "subject-shouting", WARN, "write it in small letters, with one ! at most") \
	ROW(SUBJECT_LONG, "subject-long", INFO, "say the most important thing in the first 40 characters; telephones show no more") \
	/* RFC 2047 */ \
	ROW(WORD_LENGTH, "encoded-word-too-long", FAIL, "split it; an encoded-word has 75 characters at most") \
	ROW(WORD_LINE, "encoded-word-line", WARN, "fold it; a header line with an encoded-word has 76 characters at most") \
	ROW(WORD_SPLIT, "encoded-word-splits-character", FAIL, "break it between characters; each word is decoded by itself") \
	ROW(WORD_PLACE, "encoded-word-in-quotes", FAIL, "take the quotes away: inside them it is shown as it stands") \
	ROW(WORD_STRUCTURE, "encoded-word-misplaced", FAIL, "write it without RFC 2047; only names and free text are decoded") \
	ROW(WORD_FORM, "encoded-word-malformed", FAIL, "write it as =?utf-8?Q?…?= without blanks inside, and a blank between two") \
	ROW(WORD_CHARSET, "encoded-word-charset", FAIL, "use utf-8, and only text that is valid in it") \
	ROW(WORD_NEEDLESS, "encoded-word-needless", WARN, "leave plain ASCII as it is; filters take encoding without need for hiding") \
	/* RFC 2231 */ \
	ROW(FILENAME_8BIT, "filename-8bit", FAIL, "write filename*=utf-8''…, and a plain filename=\"…\" beside it") \
	ROW(FILENAME_WORD, "filename-encoded-word", WARN, "write filename*=utf-8''… (RFC 2231) instead; not everybody decodes this") \
	ROW(FILENAME_CHAR, "filename-character", WARN, "use a plain name without folders and control characters") \
	ROW(PARAMETER, "parameter-malformed", FAIL, "write name=value; or name=\"value\";, a * form as charset'language'%41%42") \
	/* structure */ \
	ROW(TYPE_FORM, "content-type-malformed", FAIL, "write it as text/html; charset=utf-8") \
	ROW(TYPE_MISSING, "content-type-missing", WARN, "say what it is: Content-Type: text/plain; charset=utf-8") \
	ROW(BOUNDARY_MISSING, "boundary-missing", FAIL, "give the multipart a boundary=\"…\"") \
	ROW(BOUNDARY_FORM, "boundary-form", FAIL, "use 1 to 70 letters, digits and '()+_,-./:=? (RFC 2046), in quotes, no blank at the end") \
	ROW(BOUNDARY_UNCLOSED, "boundary-unclosed", FAIL, "end the multipart with --boundary--") \
	ROW(BOUNDARY_ABSENT, "boundary-not-found", FAIL, "begin each part with --boundary, exactly as the header names it") \
	ROW(BOUNDARY_INSIDE, "boundary-in-part", FAIL, "choose a boundary that occurs nowhere in the parts") \
	ROW(BOUNDARY_SAME, "boundary-not-distinct", FAIL, "give each multipart a boundary that is not the beginning of another") \
	ROW(CTE_UNKNOWN, "encoding-unknown", FAIL, "use 7bit, quoted-printable or base64") \
	ROW(CTE_MULTIPART, "encoding-on-multipart", FAIL, "remove the Content-Transfer-Encoding: only the parts inside are encoded") \
	ROW(CTE_7BIT, "8bit-in-7bit", FAIL, "encode the part as quoted-printable or base64") \
	ROW(CTE_8BIT, "8bit-used", WARN, "encode it: a server on the way may convert it, and then the DKIM signature fails") \
	ROW(QP_LINE, "qp-line-too-long", FAIL, "break the line with = after 75 characters at most") \
	ROW(QP_ESCAPE, "qp-bad-escape", FAIL, "write a bare = as =3D; two hexadecimal digits follow each") \
	ROW(QP_BLANK, "qp-blank-at-end", WARN, "encode a blank at the end of a line as =20: it may be lost") \
	ROW(QP_CASE, "qp-lower-case", INFO, "use upper case digits: =E3") \
	ROW(QP_RAW, "qp-raw-byte", FAIL, "encode it: quoted-printable is ASCII only") \
	ROW(B64_CHARACTER, "base64-bad-character", FAIL, "encode the part again") \
	ROW(B64_LINE, "base64-line-too-long", FAIL, "break base64 into lines of 76 characters") \
	ROW(B64_LENGTH, "base64-incomplete", FAIL, "encode the part again: its end is cut off or padded wrongly") \
	ROW(B64_NEEDLESS, "base64-needless", WARN, "leave ASCII text as it is; filters take base64 without need for hiding") \
	ROW(CHARSET_MISSING, "charset-missing", WARN, "add charset=utf-8") \
	ROW(CHARSET_UNKNOWN, "charset-unknown", FAIL, "use utf-8") \
	ROW(CHARSET_INVALID, "charset-invalid", FAIL, "see how the text came in: its bytes are of another charset") \
	ROW(HTML_FIRST, "html-before-text", FAIL, "put text/plain first and text/html last: readers are shown the last they can") \
	ROW(HTML_ONLY, "html-only", WARN, "add a text/plain part that says the same") \
	ROW(TEXT_EMPTY, "text-part-empty", WARN, "say in the text part what the HTML says") \
	ROW(TEXT_DIFFERS, "text-differs", WARN, "let text and HTML say the same: filters compare them") \
	ROW(ALTERNATIVE_ONE, "alternative-alone", INFO, "leave the multipart away, or add the other form") \
	ROW(RELATED_TYPE, "related-type", INFO, "add type=\"text/html\" to the multipart/related") \
	ROW(CID_FORM, "content-id-malformed", WARN, "write it as <name@domain>, without cid:") \
	ROW(CID_ABSENT, "image-not-there", FAIL, "put the image's file beside the message, or write its whole https address") \
	ROW(BODY_EMPTY, "body-empty", FAIL, "write something") \
	/* list and bulk headers */ \
	ROW(UNSUB_MISSING, "list-unsubscribe-missing", WARN, "add List-Unsubscribe: Gmail, Yahoo and others ask it of newsletters") \
	ROW(UNSUB_ENCODED, "list-unsubscribe-encoded", FAIL, "write it in plain ASCII; encoded, no button is shown") \
	ROW(UNSUB_FORM, "list-unsubscribe-malformed", FAIL, "write <https://…>, <mailto:…>, each in angle brackets") \
	ROW(POST_HTTPS, "one-click-without-https", FAIL, "give List-Unsubscribe one https address, or remove List-Unsubscribe-Post") \
	ROW(POST_FORM, "one-click-malformed", FAIL, "write List-Unsubscribe-Post: List-Unsubscribe=One-Click") \
	ROW(POST_MISSING, "one-click-missing", INFO, "Gmail and Yahoo ask one-click unsubscribing (RFC 8058) of who sends 5,000 a day") \
	ROW(LISTID_FORM, "list-id-malformed", WARN, "write List-Id: Title <id.your-domain.example>, the id in ASCII") \
	ROW(PRECEDENCE, "precedence", WARN, "write Precedence: bulk, or leave it out") \
	ROW(AUTO_SUBMITTED, "auto-submitted", WARN, "leave Auto-Submitted out of newsletters, or write auto-generated") \
	ROW(FEEDBACK_ID, "feedback-id-malformed", WARN, "write a:b:c:sender, the sender of 5 to 15 characters") \
	ROW(DKIM, "dkim-uncovered", WARN, "let the signature cover it (h=)") \
	ROW(DKIM_LENGTH, "dkim-length", WARN, "sign the whole body: with l= anybody may add to it") \
	/* what is read */ \
	ROW(GREETING, "greeting-empty", WARN, "give the name a default: {{ first_name | default: \"reader\" }}") \
	ROW(LIQUID_LEFT, "template-left", WARN, "this stands in the finished message as it is; a value of the person is written {{ first_name }}") \
	ROW(HTML_CLIPPED, "html-clipped", FAIL, "shorten it: Gmail cuts off what is beyond 102 KB, and the unsubscribe link with it") \
	ROW(HTML_NEAR, "html-nearly-clipped", WARN, "shorten it: Gmail cuts off what is beyond 102 KB") \
	ROW(IMG_ALT, "image-without-alt", WARN, "add alt=\"…\" with what it shows; alt=\"\" for mere decoration") \
	ROW(IMG_WIDTH, "image-without-width", INFO, "add width=\"…\": Outlook shows it in its own size else") \
	ROW(IMAGE_ONLY, "image-only", WARN, "write the message as text too: many see no images, and filters mistrust it") \
	ROW(HTML_LANG, "html-without-lang", INFO, "add lang to <html>, for screen readers and hyphenation") \
	ROW(HTML_TITLE, "html-without-title", INFO, "add a <title>") \
	ROW(LINK_HTTP, "link-http", INFO, "link to https") \
	ROW(LINK_BROKEN, "link-broken", FAIL, "correct the address") \
	ROW(LINK_HOST, "link-other-host", WARN, "let the text name where the link goes, or say it in words") \
	ROW(LINK_ODD, "link-suspicious", WARN, "link to a page under your own name: filters mistrust this form") \
	ROW(HTML_SCRIPT, "html-script", FAIL, "remove it: no mail program runs it, and filters refuse it") \
	ROW(HTML_FORM, "html-form", WARN, "link to a page with the form: most mail programs take forms away") \
	ROW(HTML_EMBED, "html-embed", FAIL, "link to it: mail programs take frames and objects away") \
	ROW(CSS_EXTERNAL, "css-external", WARN, "put the style sheet into <style>: mail programs load none") \
	ROW(DATA_URI, "image-data-uri", WARN, "attach the image (a relative src): Gmail and Outlook do not show data: images") \
	ROW(HIDDEN_TEXT, "hidden-text", WARN, "show it or remove it; filters take hidden text for a trick") \
	ROW(UNSUB_LINK, "unsubscribe-link-missing", WARN, "add a link: [unsubscribe]({{ unsubscribe_url }})") \
	ROW(UNSUB_HIDDEN, "unsubscribe-link-hidden", FAIL, "show it: who cannot find it reports the mail as spam")
/* clang-format on */

#endif
