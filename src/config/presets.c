/* Relays that many people use. Numbers are the providers' published ones, or left out where none is
 * published; every key in the configuration overrides. */
#include "src/config/presets.h"

const struct preset presets[] = {
	{"gmail", "smtp.gmail.com", 587, ROUTE_TLS_STARTTLS, NULL, 3, 100, "500/d", NULL},
	{"workspace", "smtp.gmail.com", 587, ROUTE_TLS_STARTTLS, NULL, 3, 100, "2000/d", NULL},
	{"workspace-relay", "smtp-relay.gmail.com", 587, ROUTE_TLS_STARTTLS, NULL, 10, 100, "10000/d", NULL},
	{"m365", "smtp.office365.com", 587, ROUTE_TLS_STARTTLS, NULL, 3, 100, "30/m, 10000/d", NULL},
	{"outlook-com", "smtp-mail.outlook.com", 587, ROUTE_TLS_STARTTLS, NULL, 1, 100, NULL, NULL},
	{"yahoo-jp", "smtp.mail.yahoo.co.jp", 465, ROUTE_TLS_IMPLICIT, NULL, 1, 100, "10/m", NULL},
	{"icloud", "smtp.mail.me.com", 587, ROUTE_TLS_STARTTLS, NULL, 1, 100, "200/d", NULL},
	{"ses", NULL, 587, ROUTE_TLS_STARTTLS, NULL, 20, 500, NULL, "Date:Message-ID"},
	{"sendgrid", "smtp.sendgrid.net", 587, ROUTE_TLS_STARTTLS, "apikey", 10, 100, NULL, NULL},
	{"mailgun", "smtp.mailgun.org", 587, ROUTE_TLS_STARTTLS, NULL, 20, 500, NULL, NULL},
	{"mailgun-eu", "smtp.eu.mailgun.org", 587, ROUTE_TLS_STARTTLS, NULL, 20, 500, NULL, NULL},
	{"postmark", "smtp-broadcasts.postmarkapp.com", 587, ROUTE_TLS_STARTTLS, NULL, 10, 500, NULL, NULL},
	{"mailjet", "in-v3.mailjet.com", 587, ROUTE_TLS_STARTTLS, NULL, 10, 500, NULL, NULL},
	{"brevo", "smtp-relay.brevo.com", 587, ROUTE_TLS_STARTTLS, NULL, 10, 500, NULL, NULL},
	{"sparkpost", "smtp.sparkpostmail.com", 587, ROUTE_TLS_STARTTLS, "SMTP_Injection", 20, 100, NULL,
		NULL},
	{"sparkpost-eu", "smtp.eu.sparkpostmail.com", 587, ROUTE_TLS_STARTTLS, "SMTP_Injection", 20, 100,
		NULL, NULL},
	{"sakura", NULL, 587, ROUTE_TLS_STARTTLS, NULL, 1, 100, NULL, NULL},
	{"blastengine", "smtp.engn.jp", 587, ROUTE_TLS_STARTTLS, NULL, 10, 500, NULL, NULL},
	{"nifcloud-ess", "smtp.ess.nifcloud.com", 587, ROUTE_TLS_STARTTLS, NULL, 20, 500, "10000/m", NULL},
};
const size_t npresets = sizeof presets / sizeof presets[0];
