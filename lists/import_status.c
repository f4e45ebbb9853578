#include "lists/import_status.h"

#include "src/base/utf8.h"

const char *const import_status_names[] = {
	[IMPORT_SUBSCRIBED] = "subscribed",
	[IMPORT_UNSUBSCRIBED] = "unsubscribed",
	[IMPORT_BOUNCED] = "bounced",
	[IMPORT_COMPLAINED] = "complained",
};

/* Compared without case, blanks, hyphens and underscores. */
static const struct {
	enum import_status status;
	const char *words[40];
} table[] = {
	{IMPORT_SUBSCRIBED, {"subscribed", "subscribe", "active", "enabled", "confirmed", "ok", "valid",
				    "normal", "optin", "optedin", "delivered", "softbounce", "softbounced",
				    "deliverable", "有効", "配信", "配信中", "配信可", "購読", "購読中",
				    "登録", "登録中", "登録済", "登録済み", "正常", "会員", NULL}},
	{IMPORT_UNSUBSCRIBED,
		{"unsubscribed", "unsubscribe", "unsub", "optout", "optedout", "inactive", "disabled",
			"removed", "deleted", "suppressed", "blocklisted", "blacklisted", "blacklist",
			"nonsubscribed", "donotmail", "groupunsubscribe", "globalunsubscribe", "解除",
			"配信解除", "購読解除", "登録解除", "退会", "退会済", "退会済み", "配信停止", "停止",
			"停止中", "配信不可", "拒否", "受信拒否", "配信拒否", "非購読", "削除", NULL}},
	{IMPORT_BOUNCED, {"bounced", "bounce", "hardbounce", "hardbounced", "cleaned", "invalid",
				 "undeliverable", "undelivered", "dropped", "invalidemail", "nonexistent",
				 "failed", "error", "unknownuser", "エラー", "エラー停止", "配信エラー",
				 "不達", "宛先不明", "無効", "不着", NULL}},
	{IMPORT_COMPLAINED, {"complained", "complaint", "complainer", "spam", "spamreport", "spamreported",
				    "spamcomplaint", "markedasspam", "abuse", "abused", "苦情", "迷惑メール",
				    "迷惑メール報告", NULL}},
};

static const char *const pending[] = {"pending", "unconfirmed", "waiting", "awaitingconfirmation",
	"notconfirmed", "仮登録", "未確認", "確認待ち"};

static size_t fold(struct str s, char *out, size_t max)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n && n < max; i++)
		if (s.p[i] != ' ' && s.p[i] != '-' && s.p[i] != '_')
			out[n++] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
	return n;
}

const char *import_status_read(struct str word, enum import_status *out)
{
	char folded[64];
	struct str s = {folded, fold(str_trim(word), folded, sizeof folded)};
	*out = IMPORT_SUBSCRIBED;
	if (s.n == 0)
		return NULL;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		for (const char *const *w = table[i].words; *w != NULL; w++) {
			if (str_is(s, *w)) {
				*out = table[i].status;
				return NULL;
			}
		}
	}
	for (size_t i = 0; i < sizeof pending / sizeof pending[0]; i++)
		if (str_is(s, pending[i]))
			return "has not confirmed the subscription yet";
	return "the status is a word that is not known here";
}

enum import_status import_status_of_time(struct str attr)
{
	static const struct {
		enum import_status status;
		const char *names[12];
	} times[] = {
		{IMPORT_UNSUBSCRIBED, {"unsubtime", "unsubscribetime", "unsubscribedtime", "unsubscribedat",
					      "unsubscribedate", "unsubscribedon", "unsubscribeddate",
					      "optouttime", "optoutdate", "解除日", "配信停止日", "退会日"}},
		{IMPORT_BOUNCED, {"cleantime", "cleanedat", "bouncetime", "bouncedat", "bouncedate",
					 "bounceddate", "hardbouncetime", "エラー停止日"}},
		{IMPORT_COMPLAINED, {"complainttime", "complainedat", "complaintdate", "spamreportedat"}},
	};
	char folded[64];
	struct str s = {folded, fold(attr, folded, sizeof folded)};
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
		for (size_t k = 0; k < 12 && times[i].names[k] != NULL; k++)
			if (str_is(s, times[i].names[k]) ||
				(!utf8_ascii(s) && str_starts(s, str_from(times[i].names[k]))))
				return times[i].status;
	return IMPORT_SUBSCRIBED;
}
