/* What the sandbox says: for each fate in the manner of the provider that serves the recipient. */
#include "lists/address.h"
#include "lists/provider.h"
#include "src/serve/sandbox_fate.h"

#include <stdio.h>

struct wording {
	const char *provider; /* NULL: all others */
	enum fate fate;
	int code;
	const char *enhanced;
	const char *text; /* %s: the recipient */
};

/* Codes and key words are the provider's own, the sentences are ours. */
static const struct wording wordings[] = {
	{"google", FATE_UNKNOWN, 550, "5.1.1",
		"The account that you tried to reach does not exist. p=NoSuchUser - gsmtp"},
	{"google", FATE_DISABLED, 550, "5.2.1",
		"The account that you tried to reach is inactive. p=DisabledUser - gsmtp"},
	{"google", FATE_FULL, 452, "4.2.2",
		"The recipient's inbox is out of storage space. p=OverQuotaTemp - gsmtp"},
	{"google", FATE_BLOCK, 550, "5.7.26",
		"Unauthenticated email is not accepted due to the domain's DMARC policy - gsmtp"},
	{"google", FATE_SPAM, 550, "5.7.1",
		"Gmail has detected that this message is likely unsolicited mail - gsmtp"},
	{"google", FATE_LIMIT, 421, "4.7.28",
		"Gmail has detected an unusual rate of mail from your IP address - gsmtp"},
	{"microsoft", FATE_UNKNOWN, 550, "5.5.0",
		"Requested action not taken: mailbox unavailable (S2017062302)"},
	{"microsoft", FATE_FULL, 452, "4.2.2", "The recipient's mailbox is over quota"},
	{"microsoft", FATE_BLOCK, 550, "5.7.1",
		"Mail was not taken since part of their network is on our block list (S3140)"},
	{"microsoft", FATE_LIMIT, 451, "4.7.650",
		"The mail server has been temporarily rate limited due to IP reputation (S775)"},
	{"yahoo", FATE_UNKNOWN, 552, NULL, "1 Requested mail action aborted, mailbox not found"},
	{"yahoo", FATE_BLOCK, 553, "5.7.2",
		"[TSS09] All messages from this address will be permanently deferred"},
	{"yahoo", FATE_SPAM, 554, NULL, "Message not allowed - [PH01] Email not accepted for policy reasons"},
	{"yahoo", FATE_LIMIT, 421, "4.7.0",
		"[TSS04] Messages temporarily deferred due to unexpected volume or user complaints"},
	{"apple", FATE_UNKNOWN, 550, "5.1.1", "<%s>: user does not exist"},
	{"apple", FATE_DISABLED, 550, "5.1.1", "<%s>: inactive email address"},
	{"apple", FATE_FULL, 552, "5.2.2", "<%s>: user is over quota"},
	{"apple", FATE_BLOCK, 550, "5.7.1", "[CS01] Message rejected due to local policy"},
	{"docomo", FATE_UNKNOWN, 550, NULL, "Unknown user %s"},
	{"docomo", FATE_FULL, 552, NULL, "Too much mail data"},
	{"au", FATE_UNKNOWN, 550, NULL, "<%s>: User unknown"},
	{"softbank", FATE_UNKNOWN, 550, NULL, "Invalid recipient: <%s>"},
	{"jcom", FATE_UNKNOWN, 550, NULL, "#5.1.0 Invalid recipient: <%s>"},
	{"gmx", FATE_UNKNOWN, 550, NULL,
		"Requested action not taken: mailbox unavailable. No such user: <%s>"},
	{NULL, FATE_UNKNOWN, 550, "5.1.1",
		"<%s>: Recipient address rejected: User unknown in virtual mailbox table"},
	{NULL, FATE_DISABLED, 550, "5.2.1", "<%s>: This mailbox is disabled"},
	{NULL, FATE_FULL, 452, "4.2.2", "<%s>: Mailbox is full"},
	{NULL, FATE_GREYLIST, 450, "4.2.0",
		"<%s>: Recipient address rejected: Greylisted, come again in a while"},
	{NULL, FATE_DEFER, 451, "4.3.0", "<%s>: Temporary lookup failure"},
	{NULL, FATE_NEVER, 451, "4.3.0", "<%s>: Temporary lookup failure"},
	{NULL, FATE_BLOCK, 554, "5.7.1", "Message refused by policy"},
	{NULL, FATE_SPAM, 554, "5.7.1", "Message scored 12.3: identified as spam"},
	{NULL, FATE_BIG, 552, "5.3.4", "Message size exceeds fixed limit"},
	{NULL, FATE_LIMIT, 421, "4.7.0", "Too many messages in a short time, slow down"},
	{NULL, FATE_QUOTA, 454, NULL, "Throttling failure: Daily message quota exceeded."},
};

bool fate_at_end(enum fate fate)
{
	return fate == FATE_BLOCK || fate == FATE_SPAM || fate == FATE_BIG || fate == FATE_QUOTA;
}

static const struct wording *find_wording(enum fate fate, struct str provider)
{
	for (size_t i = 0; i < sizeof wordings / sizeof wordings[0]; i++)
		if (wordings[i].fate == fate &&
			(wordings[i].provider == NULL || str_is(provider, wordings[i].provider)))
			return &wordings[i];
	return NULL;
}

struct smtp_answer fate_reply(enum fate fate, struct str rcpt, char *buf, size_t size)
{
	const struct wording *w = find_wording(fate, str_from(provider_of_domain(str_after_last(rcpt, '@'))));
	if (w == NULL)
		return (struct smtp_answer){250, "2.1.5", "Ok"};
	const char *mark = strstr(w->text, "%s");
	if (mark == NULL)
		snprintf(buf, size, "%s", w->text);
	else
		snprintf(buf, size, "%.*s%.*s%s", (int)(mark - w->text), w->text, STR_ARG(rcpt), mark + 2);
	return (struct smtp_answer){w->code, w->enhanced, buf};
}
