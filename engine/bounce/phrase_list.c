/* The phrases. ASCII is lower case; other letters stand as they are written at the place where they occur. */
#include "engine/bounce/phrase.h"

#define F SAYS_FAILED
#define B SAYS_BOUNCE
#define W SAYS_WARNING
#define A SAYS_AWAY

/* clang-format off */
const struct phrase phrase_list[] = {
	/* ---- a message was not delivered ---- */
	{"could not be delivered", F | B}, {"couldn't be delivered", F | B}, {"cannot be delivered", F | B},
	{"can't be delivered", F | B}, {"can not be delivered", F | B}, {"could not deliver", F | B},
	{"couldn't deliver", F | B}, {"cannot deliver", F | B}, {"can't deliver", F | B}, {"was not delivered", F | B},
	{"wasn't delivered", F | B}, {"not been delivered", F | B}, {"not delivered", F | B}, {"undeliverable", F | B},
	{"undelivered", F | B}, {"undeliver", B}, {"unable to deliver", F | B}, {"not able to deliver", F | B},
	{"wasn't able to deliver", F | B}, {"unable to be delivered", F | B}, {"unsuccessful delivery", F | B},
	{"failed to deliver", F | B}, {"failed delivery", F | B}, {"delivery failed", F | B},
	{"delivery has failed", F | B}, {"delivery failure", F | B}, {"delivery to the following recipient", F},
	{"delivery to the following address", F}, {"delivery to these recipients", F}, {"failed permanently", F},
	{"permanent error", F}, {"permanent failure", F}, {"permanent fatal error", F}, {"fatal error", F},
	{"fatal delivery error", F}, {"following address(es) failed", F}, {"following address failed", F},
	{"following addresses failed", F}, {"had delivery errors", F}, {"had delivery problems", F},
	{"delivery error", F | B}, {"error delivering", F}, {"problem delivering", F}, {"trouble delivering", F},
	{"problems delivering", F}, {"problem with delivery", F}, {"attempting to deliver", F}, {"trying to deliver", F},
	{"trying to send", F}, {"error sending your mail", F | B}, {"error while trying to deliver", F},
	{"could not send message", F}, {"could not be sent", F | B}, {"unable to send", F}, {"not be sent to", F},
	{"did not reach", F}, {"could not be reached", F}, {"could not reach", F}, {"not reach its destination", F},
	{"has been rejected", F}, {"was rejected", F}, {"been returned", F}, {"is being returned", F},
	{"returned to you", F}, {"returning message to sender", F | B}, {"returned to sender", F | B},
	{"return to sender", B}, {"returned mail", F | B}, {"returned email", F | B}, {"returned message", B},
	{"mail failure", B}, {"failure notice", B}, {"delivery status notification", B}, {"delivery notification", B},
	{"mail delivery problem", B}, {"mail delivery error", B}, {"mail delivery fail", B}, {"mail delivery system", B},
	{"message delivery", B}, {"mail system error", F | B}, {"mail error", B}, {"nondeliver", B}, {"non-deliver", B},
	{"non delivery", B}, {"delivery report", B}, {"delivery status", B}, {"bounced mail", B}, {"message status", B},
	{"delivery incomplete", B}, {"unknown user", B}, {"user unknown", B}, {"recipient unknown", B},
	{"unknown recipient", B}, {"bad address", B}, {"unsent message", F}, {"undeliverable mail", B},
	{"unable to contact", F}, {"unzustellbar", B}, {"following recipients returned permanent errors", F},
	{"the following recipients", F}, {"following recipient(s)", F}, {"list of recipients", F}, {"addresses had", F},
	{"address had permanent", F}, {"error message below", F}, {"message could not be", F},
	{"transcript of session", F}, {"transcript of the session", F}, {"the reason for the problem", F},
	{"session transcript", F}, {"invalid final delivery userid", F}, {"invalid final delivery user", F},
	{"unknown local-part", F}, {"does not like recipient", F}, {"said:", F}, {"address not found", F | B},
	{"message blocked", F | B}, {"message not delivered", F | B}, {"recipient inbox full", F | B},
	{"your message was not", F}, {"recipient address rejected", F}, {"mail rejected", F | B},
	{"message rejected", F | B}, {"no such user", F}, {"no such mailbox", F}, {"is not a valid user", F},
	{"not a valid user", F}, {"is not a known user", F}, {"user not known", F}, {"unknown user", F},
	{"user unknown", F}, {"that address is not", F}, {"account does not exist", F}, {"failed recipient", F},
	{"failed addresses follow", F}, {"recipient(s) failed", F}, {"is no longer active", F}, {"delivery attempts", F},
	{"delivery attempt", F}, {"mail to the following", F}, {"message to the following", F}, {"errors occurred", F},
	{"an error occurred", F}, {"an error has occurred", F}, {"error was encountered", F}, {"was unable to", F},
	{"the mail server generated", F}, {"rejected by the", F}, {"the error that", F}, {"was undeliverable", F},
	{"no mailbox", F}, {"incorrectly constructed", F}, {"mail bounced", F}, {"automatically rejected", F | B},
	{"did not exactly match", F}, {"refused to accept your message", F}, {"not recognized", F}, {"did not accept", F},
	{"not accept your message", F}, {"konnte nicht zugestellt", F | B}, {"konnten nicht zugestellt", F | B},
	{"nicht zustellbar", F | B},
	{"konnte nicht \xc3\xbc"
	 "bermittelt",
		F},
	{"zustellung fehlgeschlagen", F | B}, {"nicht zugestellt werden", F | B}, {"wurde nicht zugestellt", F | B},
	{"fehler bei der \xc3\xbc"
	 "bermittlung",
		F | B},
	{"fehler bei der zustellung", F | B}, {"ist unbekannt", F}, {"konnte nicht gesendet", F},
	{"n'a pas pu \xc3\xaatre remis", F | B}, {"n'a pas pu \xc3\xaatre d", F | B},
	{"n'a pas \xc3\xa9t\xc3\xa9 remis", F | B}, {"n'a pu \xc3\xaatre", F | B},
	{"n\xe2\x80\x99"
	 "a pas pu \xc3\xaatre",
		F | B},
	{"non remis", F | B}, {"non d\xc3\xa9livr", F | B},
	{"\xc3\xa9"
	 "chec de la remise",
		F | B},
	{"\xc3\x89"
	 "chec de la remise",
		F | B},
	{"chec de remise", F | B}, {"n'a pas pu etre", F | B}, {"non distribuable", F | B},
	{"impossible de remettre", F | B}, {"no se ha podido entregar", F | B}, {"no se pudo entregar", F | B},
	{"no ha podido entregar", F | B}, {"no se puede entregar", F | B}, {"no se entreg", F | B},
	{"no entregado", F | B}, {"no pudo ser entregado", F | B}, {"error de entrega", F | B},
	{"error en la entrega", F | B}, {"fallo en la entrega", F | B}, {"possibile recapitare", F | B},
	{"impossibile recapitare", F | B}, {"non recapitabile", F | B}, {"stato recapitato", F},
	{"mancato recapito", F | B}, {"non recapitato", F | B}, {"mancata consegna", F | B},
	{"stato possibile consegnare", F | B}, {"impossibile consegnare", F | B}, {"poss\xc3\xadvel entregar", F | B},
	{"p\xc3\xb4"
	 "de ser entregue",
		F | B},
	{"n\xc3\xa3o entregue", F | B}, {"n\xc3\xa3o foi entregue", F | B}, {"falha na entrega", F | B},
	{"falha de entrega", F | B}, {"niet worden afgeleverd", F | B}, {"niet worden bezorgd", F | B},
	{"niet bezorgd", F | B}, {"onbestelbaar", F | B}, {"niet afgeleverd", F | B}, {"kunde inte levereras", F | B},
	{"gick inte att leverera", F | B}, {"olevererbar", F | B}, {"kunne ikke leveres", F | B},
	{"kan ikke leveres", F | B}, {"ikke leveret", F | B}, {"ikke levert", F | B}, {"ei voitu toimittaa", F | B},
	{"ei voi toimittaa", F | B}, {"toimitus ep", F | B},
	{"zosta\xc5\x82"
	 "a dostarczona",
		F | B},
	{"zosta\xc4\x87 dostarczona", F | B}, {"mo\xc5\xbcna dostarczy", F | B}, {"niedostarcz", F | B},
	{"nelze doru", F | B}, {"nedoru", F | B}, {"nebyla doru", F | B}, {"nepoda\xc5\x99ilo doru", F | B},
	{"nem k\xc3\xa9zbes\xc3\xadthet", F | B}, {"k\xc3\xa9zbes\xc3\xadteni", F | B}, {"putut fi livrat", F | B},
	{"putut livra", F | B},
	{"\xd0\xbd\xd0\xb5 \xd0\xbc\xd0\xbe\xd0\xb6\xd0\xb5\xd1\x82 \xd0\xb1\xd1\x8b\xd1\x82\xd1\x8c "
	 "\xd0\xb4\xd0\xbe\xd1\x81\xd1\x82",
		F | B}, /* не может быть дост */
	{"\xd0\xbd\xd0\xb5 \xd1\x83\xd0\xb4\xd0\xb0\xd0\xbb\xd0\xbe\xd1\x81\xd1\x8c "
	 "\xd0\xb4\xd0\xbe\xd1\x81\xd1\x82",
		F | B}, /* не удалось дост */
	{"\xd0\xbd\xd0\xb5 \xd0\xb1\xd1\x8b\xd0\xbb\xd0\xbe \xd0\xb4\xd0\xbe\xd1\x81\xd1\x82",
		F | B}, /* не было дост */
	{"\xd0\xbd\xd0\xb5 \xd0\xb4\xd0\xbe\xd1\x81\xd1\x82\xd0\xb0\xd0\xb2\xd0\xbb\xd0\xb5\xd0\xbd\xd0\xbe",
		F | B}, /* не доставлено */
	{"\xd0\xbd\xd0\xb5\xd0\xb4\xd0\xbe\xd1\x81\xd1\x82\xd0\xb0\xd0\xb2", F | B}, /* недостав */
	{"\xd0\x9d\xd0\xb5\xd0\xb4\xd0\xbe\xd1\x81\xd1\x82\xd0\xb0\xd0\xb2", F | B}, /* Недостав */
	{"\xd0\xbd\xd0\xb5\xd0\xb2\xd0\xbe\xd0\xb7\xd0\xbc\xd0\xbe\xd0\xb6\xd0\xbd\xd0\xbe "
	 "\xd0\xb4\xd0\xbe\xd1\x81\xd1\x82",
		F | B}, /* невозможно дост */
	{"\xd0\xbd\xd0\xb5 \xd0\xb2\xd0\xb4\xd0\xb0\xd0\xbb\xd0\xbe\xd1\x81\xd1\x8f", F | B}, /* не вдалося */
	{"\xce\xb4\xce\xb5\xce\xbd \xcf\x80\xce\xb1\xcf\x81\xce\xb1\xce\xb4", F | B}, /* δεν παραδ */
	{"teslim edilem", F | B}, {"iletilemedi", F | B}, {"teslim edilmedi", F | B},
	{"\xd7\x9c\xd7\x90 \xd7\xa0\xd7\x99\xd7\xaa\xd7\x9f \xd7\x9c\xd7\x9e\xd7\xa1\xd7\x95\xd7\xa8",
		F | B},                                               /* לא ניתן למסור */
	{"\xd7\x9c\xd7\x90 \xd7\xa0\xd7\x9e\xd7\xa1\xd7\xa8", F | B}, /* לא נמסר */
	{"\xd8\xaa\xd8\xb9\xd8\xb0\xd8\xb1 \xd8\xaa\xd8\xb3\xd9\x84\xd9\x8a\xd9\x85", F | B}, /* تعذر تسليم */
	{"\xd9\x84\xd9\x85 \xd9\x8a\xd8\xaa\xd9\x85 \xd8\xaa\xd8\xb3\xd9\x84\xd9\x8a\xd9\x85",
		F | B}, /* لم يتم تسليم */
	{"配信できませ", F | B}, {"配信不能", F | B}, {"送信できませ", F | B}, {"送信に失敗", F | B}, {"送信出来ませ", F | B}, {"届けることができ", F | B},
	{"お届けできませ", F | B}, {"配送できませ", F | B}, {"配達できませ", F | B}, {"配信に失敗", F | B}, {"配送に失敗", F | B},
	{"配送することができ", F | B}, {"宛先不明", F | B}, {"送れませんでした", F | B}, {"送信エラー", F | B}, {"配信エラー", F | B},
	{"届きませんでした", F | B}, {"配送不能", F | B}, {"宛先が見つかりませ", F | B}, {"宛先不存在", F | B}, {"見つかりませんでした", F}, {"返送", B},
	{"未配信", B}, {"不達", B}, {"エラー理由", F}, {"无法投递", F | B}, {"无法送达", F | B}, {"未能送达", F | B}, {"退信", F | B},
	{"投递失败", F | B}, {"无法传递", F | B}, {"传递失败", F | B}, {"无法发送到", F | B}, {"发送失败", F | B}, {"未送达", F | B},
	{"無法傳遞", F | B}, {"無法投遞", F | B}, {"傳送失敗", F | B}, {"發送失敗", F | B}, {"無法傳送", F | B}, {"無法送達", F | B},
	{"被退回", F | B}, {"배달할 수 없", F | B}, {"배달하지 못", F | B}, {"배달되지", F | B}, {"전송하지 못", F | B}, {"전송되지", F | B},
	{"전달되지", F | B}, {"발송 실패", F | B}, {"배달 실패", F | B}, {"반송", F | B}, {"전송 실패", F | B}, {"không thể gửi", F | B},
	{"không gửi được", F | B}, {"ไม่สามารถส่ง", F | B}, {"tidak dapat dikirim", F | B}, {"tidak terkirim", F | B},
	/* ---- how reports open ---- */
	{"this is the mail system at host", SAYS_MACHINE}, {"this is the postfix program", SAYS_MACHINE},
	{"i'm sorry to have to inform you", SAYS_MACHINE}, {"this is the qmail-send program", SAYS_MACHINE},
	{"created automatically by mail delivery software", SAYS_MACHINE}, {"this is the mailer-daemon", SAYS_MACHINE},
	{"this is an automatically generated delivery status", SAYS_MACHINE}, {"this is the mail delivery", SAYS_MACHINE},
	{"the original message was received at", SAYS_MACHINE}, {"delivery has failed to these recipients", SAYS_MACHINE},
	{"delivery to the following recipient", SAYS_MACHINE}, {"did not reach the following recipient", SAYS_MACHINE},
	{"did not reach some or all of the intended", SAYS_MACHINE}, {"transcript of session follows", SAYS_MACHINE},
	{"this is the dragonfly mail agent", SAYS_MACHINE}, {"this message was created automatically", SAYS_MACHINE},
	{"address not found", SAYS_MACHINE}, {"message not delivered", SAYS_MACHINE}, {"message blocked", SAYS_MACHINE},
	{"this is a delivery status notification", SAYS_MACHINE}, {"unable to deliver your message", SAYS_MACHINE},
	{"mail could not be delivered", SAYS_MACHINE}, {"message could not be delivered", SAYS_MACHINE},
	{"this report relates to a message you sent", SAYS_MACHINE}, {"wasn't able to deliver your message", SAYS_MACHINE},
	{"email that you attempted to send", SAYS_MACHINE}, {"couldn't be delivered", SAYS_MACHINE},
	{"could not be delivered to:", SAYS_MACHINE}, {"your mail sent on", SAYS_MACHINE}, {"wasn't delivered to", SAYS_MACHINE},
	{"problem delivering your message", SAYS_MACHINE}, {"the following message to", SAYS_MACHINE},
	{"this is the james mail server", SAYS_MACHINE}, {"inform you on the delivery status", SAYS_MACHINE},
	{"this is the mail server on", SAYS_MACHINE}, {"failed addresses follow", SAYS_MACHINE},
	{"problem with the e-mail address", SAYS_MACHINE}, {"delivery failed for the following", SAYS_MACHINE},
	{"это письмо создано автоматически", SAYS_MACHINE},
	/* ---- final ---- */
	{"permanent error", SAYS_GIVEN_UP}, {"permanent failure", SAYS_GIVEN_UP}, {"failed permanently", SAYS_GIVEN_UP},
	{"giving up", SAYS_GIVEN_UP}, {"given up", SAYS_GIVEN_UP}, {"no further delivery attempts", SAYS_GIVEN_UP},
	{"not going to try again", SAYS_GIVEN_UP}, {"too long", SAYS_GIVEN_UP}, {"permanent fatal", SAYS_GIVEN_UP},
	/* ---- still being tried ---- */
	{"warning message only", SAYS_DELAYED}, {"warning only", SAYS_DELAYED}, {"not need to resend", SAYS_DELAYED},
	{"will be retried", SAYS_DELAYED}, {"will continue to try", SAYS_DELAYED}, {"will keep trying", SAYS_DELAYED},
	{"has been delayed", SAYS_DELAYED | W}, {"have been delayed", SAYS_DELAYED},
	{"has not yet been delivered", SAYS_DELAYED}, {"not yet been delivered", SAYS_DELAYED | W},
	{"delivery delayed", SAYS_DELAYED | W}, {"delivery is delayed", SAYS_DELAYED | W},
	{"delivery attempts will continue", SAYS_DELAYED}, {"will retry", SAYS_DELAYED}, {"still trying", SAYS_DELAYED},
	{"continue trying", SAYS_DELAYED}, {"continue to be made", SAYS_DELAYED}, {"no action is required", SAYS_DELAYED},
	{"temporary problem delivering", SAYS_DELAYED}, {"temporary non-fatal", SAYS_DELAYED},
	{"transient non-fatal errors", SAYS_DELAYED}, {"transient non-fatal", SAYS_DELAYED},
	{"noch nicht zugestellt", SAYS_DELAYED | W}, {"n'a pas encore \xc3\xa9t\xc3\xa9", SAYS_DELAYED | W},
	{"再送を", SAYS_DELAYED}, {"再送いたします", SAYS_DELAYED}, {"再送します", SAYS_DELAYED}, {"配信が遅", SAYS_DELAYED | W}, {"遅延", W}, {"delayed mail", W}, {"delayed", W}, {"(delay)", W},
	{"warning: could not send", W}, {"warning: message", W}, {"warning--could not send", W}, {"verz\xc3\xb6gert", W},
	{"retard\xc3\xa9", W}, {"retrasad", W}, {"delay", W}, {"warning", W}, {"not yet delivered", W}, {"fertraging", W},
	/* ---- delivered ---- */
	{"was successfully delivered", SAYS_DELIVERED}, {"successfully delivered to", SAYS_DELIVERED},
	{"successful mail delivery", SAYS_DELIVERED}, {"(success)", SAYS_DELIVERED},
	{"(relay)", SAYS_DELIVERED},
	/* ---- here begins the returned message ---- */
	{"original message", SAYS_RETURNED}, {"copy of the message", SAYS_RETURNED},
	{"copy of your message", SAYS_RETURNED}, {"copy of the original message", SAYS_RETURNED},
	{"copy of the message header", SAYS_RETURNED}, {"header of the original message", SAYS_RETURNED},
	{"headers of the original message", SAYS_RETURNED}, {"original message header", SAYS_RETURNED},
	{"original mail info", SAYS_RETURNED}, {"message headers follow", SAYS_RETURNED},
	{"message header follows", SAYS_RETURNED}, {"unsent message follows", SAYS_RETURNED},
	{"unsent message below", SAYS_RETURNED}, {"message follows", SAYS_RETURNED}, {"headers follow", SAYS_RETURNED},
	{"text of your message", SAYS_RETURNED}, {"text of the message", SAYS_RETURNED},
	{"message text follows", SAYS_RETURNED}, {"returned message", SAYS_RETURNED}, {"mail follows", SAYS_RETURNED},
	{"undelivered message", SAYS_RETURNED}, {"message contents", SAYS_RETURNED}, {"rejected message", SAYS_RETURNED},
	{"the following is a copy", SAYS_RETURNED}, {"first part of your message", SAYS_RETURNED},
	{"forwarded message", SAYS_RETURNED}, {"included message", SAYS_RETURNED}, {"original mail", SAYS_RETURNED},
	{"your original message", SAYS_RETURNED}, {"message header:", SAYS_RETURNED},
	{"urspr\xc3\xbcngliche nachricht", SAYS_RETURNED}, {"message d'origine", SAYS_RETURNED},
	{"mensaje original", SAYS_RETURNED}, {"messaggio originale", SAYS_RETURNED}, {"mensagem original", SAYS_RETURNED},
	{"元のメッセージ", SAYS_RETURNED}, {"元のメール", SAYS_RETURNED}, {"原始邮件", SAYS_RETURNED}, {"原始郵件", SAYS_RETURNED},
	{"元メール", SAYS_RETURNED}, {"原邮件", SAYS_RETURNED},
	/* ---- before an address: that one failed ---- */
	{"deliver your message to", SAYS_RECIPIENT}, {"deliver message to", SAYS_RECIPIENT},
	{"deliver mail to", SAYS_RECIPIENT}, {"delivering your mail to", SAYS_RECIPIENT}, {"deliver to", SAYS_RECIPIENT},
	{"delivery to", SAYS_RECIPIENT}, {"delivered to", SAYS_RECIPIENT}, {"delivering to", SAYS_RECIPIENT},
	{"delivered to:", SAYS_RECIPIENT}, {"undeliverable to", SAYS_RECIPIENT}, {"message to", SAYS_RECIPIENT},
	{"mail to", SAYS_RECIPIENT}, {"email to", SAYS_RECIPIENT}, {"e-mail to", SAYS_RECIPIENT},
	{"sent to", SAYS_RECIPIENT}, {"send to", SAYS_RECIPIENT}, {"rcpt to", SAYS_RECIPIENT}, {"rcpt:", SAYS_RECIPIENT},
	{"recipient", SAYS_RECIPIENT}, {"recipients", SAYS_RECIPIENT}, {"recipient:", SAYS_RECIPIENT},
	{"recipient address", SAYS_RECIPIENT}, {"user", SAYS_RECIPIENT}, {"users", SAYS_RECIPIENT},
	{"mailbox", SAYS_RECIPIENT}, {"account", SAYS_RECIPIENT}, {"userid", SAYS_RECIPIENT}, {"address", SAYS_RECIPIENT},
	{"addresses", SAYS_RECIPIENT}, {"addressee", SAYS_RECIPIENT}, {"attempts", SAYS_RECIPIENT},
	{"allowed size", SAYS_RECIPIENT}, {"errors:", SAYS_RECIPIENT}, {"error:", SAYS_RECIPIENT},
	{"failed:", SAYS_RECIPIENT}, {"unknown:", SAYS_RECIPIENT}, {"reach", SAYS_RECIPIENT},
	{"addressed to", SAYS_RECIPIENT}, {"destinataire", SAYS_RECIPIENT}, {"empf\xc3\xa4nger", SAYS_RECIPIENT},
	{"destinatario", SAYS_RECIPIENT}, {"destinat\xc3\xa1rio", SAYS_RECIPIENT}, {"ontvanger", SAYS_RECIPIENT},
	{"mottagare", SAYS_RECIPIENT}, {"adresse", SAYS_RECIPIENT}, {"宛先", SAYS_RECIPIENT}, {"宛て", SAYS_RECIPIENT},
	{"收件人", SAYS_RECIPIENT}, {"收信人", SAYS_RECIPIENT}, {"받는 사람", SAYS_RECIPIENT}, {"수신자", SAYS_RECIPIENT},
	{"メールアドレス", SAYS_RECIPIENT},
	{"\xd0\xb0\xd0\xb4\xd1\x80\xd0\xb5\xd1\x81", SAYS_RECIPIENT}, /* адрес */
	{"\xd0\xbf\xd0\xbe\xd0\xbb\xd1\x83\xd1\x87\xd0\xb0\xd1\x82\xd0\xb5\xd0\xbb",
		SAYS_RECIPIENT}, /* получател */
	{"zugestellt werden an", SAYS_RECIPIENT}, {"entregar a", SAYS_RECIPIENT}, {"remis \xc3\xa0", SAYS_RECIPIENT},
	{"message for", SAYS_RECIPIENT}, {"was addressed", SAYS_RECIPIENT}, {"mail for", SAYS_RECIPIENT},
	{"failed recipient", SAYS_RECIPIENT}, {"intended for", SAYS_RECIPIENT}, {"to:", SAYS_RECIPIENT},
	{"for:", SAYS_RECIPIENT}, {"local user", SAYS_RECIPIENT},
	/* ---- before an address: somebody else's ---- */
	{"from", SAYS_OTHER}, {"sender", SAYS_OTHER}, {"reply-to", SAYS_OTHER}, {"reply to", SAYS_OTHER},
	{"contact", SAYS_OTHER}, {"please", SAYS_OTHER}, {"write to", SAYS_OTHER}, {"mailto:", SAYS_OTHER},
	{"message-id", SAYS_OTHER}, {"message id", SAYS_OTHER}, {"postmaster at", SAYS_OTHER}, {"cc:", SAYS_OTHER},
	{"forward", SAYS_OTHER}, {"send a message to", SAYS_OTHER}, {"send an email to", SAYS_OTHER},
	{"send mail to", SAYS_OTHER}, {"help", SAYS_OTHER}, {"assistance", SAYS_OTHER}, {"support", SAYS_OTHER},
	{"generated by", SAYS_OTHER}, {"references", SAYS_OTHER}, {"in-reply-to", SAYS_OTHER},
	{"return-path", SAYS_OTHER}, {"if you", SAYS_OTHER}, {"e.g.", SAYS_OTHER}, {"for example", SAYS_OTHER},
	{"try ", SAYS_OTHER}, {"questions", SAYS_OTHER}, {"helo=", SAYS_OTHER}, {"f=[", SAYS_OTHER},
	{"envelope-id", SAYS_OTHER}, {"admin", SAYS_OTHER}, {"差出人", SAYS_OTHER}, {"発信者", SAYS_OTHER}, {"送信者", SAYS_OTHER},
	{"发件人", SAYS_OTHER}, {"absender", SAYS_OTHER},
	{"exp\xc3\xa9"
	 "diteur",
		SAYS_OTHER},
	{"remitente", SAYS_OTHER}, {"mittente", SAYS_OTHER},
	/* ---- in From ---- */
	{"mailer-daemon", SAYS_DAEMON}, {"mailer_daemon", SAYS_DAEMON}, {"mailer daemon", SAYS_DAEMON},
	{"mail-daemon", SAYS_DAEMON}, {"maildaemon", SAYS_DAEMON}, {"mdaemon", SAYS_DAEMON}, {"postmaster", SAYS_DAEMON},
	{"poostmaster", SAYS_DAEMON}, {"post_master", SAYS_DAEMON}, {"post master", SAYS_DAEMON},
	{"mail delivery", SAYS_DAEMON}, {"mail deliver system", SAYS_DAEMON}, {"delivery subsystem", SAYS_DAEMON},
	{"delivery system", SAYS_DAEMON}, {"system administrator", SAYS_DAEMON}, {"systemadministrator", SAYS_DAEMON},
	{"mail administrator", SAYS_DAEMON}, {"mail.delivery.system", SAYS_DAEMON}, {"microsoftexchange", SAYS_DAEMON},
	{"mail system", SAYS_DAEMON}, {"mailsystem", SAYS_DAEMON}, {"email-abuse.amazonses", SAYS_DAEMON},
	{"maildelivery", SAYS_DAEMON}, {"mail router", SAYS_DAEMON}, {"mail_daemon", SAYS_DAEMON},
	{"internet mail delivery", SAYS_DAEMON}, {"bounce-", SAYS_DAEMON}, {"bounce@", SAYS_DAEMON},
	{"daemon@", SAYS_DAEMON}, {"interscan", SAYS_DAEMON}, {"mailgateway", SAYS_DAEMON},
	{"delivery agent", SAYS_DAEMON}, {"administrateur syst", SAYS_DAEMON}, {"administrador del sistema", SAYS_DAEMON},
	{"システム管理者", SAYS_DAEMON}, {"mail transfer", SAYS_DAEMON}, {"mmdf", SAYS_DAEMON}, {"mailadmin", SAYS_DAEMON},
	{"non-delivery", SAYS_DAEMON},
	/* ---- automatic answers ---- */
	{"out of office", A | SAYS_AWAY_TEXT}, {"out of the office", A | SAYS_AWAY_TEXT}, {"out-of-office", A},
	{"automatic reply", A}, {"automatic response", A}, {"auto-reply", A}, {"auto reply", A}, {"autoreply", A},
	{"autoresponder", A}, {"auto response", A}, {"auto-response", A}, {"automated response", A},
	{"automated reply", A}, {"autoresponse", A}, {"auto-responder", A}, {"vacation", A}, {"on holiday", A},
	{"away from my mail", A | SAYS_AWAY_TEXT}, {"away from the office", A | SAYS_AWAY_TEXT}, {"on leave", A},
	{"maternity leave", A | SAYS_AWAY_TEXT}, {"thank you for your email", A}, {"thank you for contacting", A},
	{"abwesen", A}, {"automatische antwort", A},
	{"au\xc3\x9f"
	 "er haus",
		A},
	{"im urlaub", A | SAYS_AWAY_TEXT}, {"ponse automatique", A}, {"absence du bureau", A},
	{"absent du bureau", A | SAYS_AWAY_TEXT}, {"absence", A}, {"respuesta autom", A},
	{"fuera de la oficina", A | SAYS_AWAY_TEXT}, {"risposta automatica", A}, {"fuori sede", A},
	{"fuori ufficio", A | SAYS_AWAY_TEXT}, {"assente", A}, {"resposta autom", A}, {"ausente do escrit", A},
	{"ausente", A}, {"automatisch antwoord", A}, {"afwezig", A}, {"autosvar", A}, {"automatiskt svar", A},
	{"automatisk svar", A}, {"fr\xc3\xa5nvaro", A}, {"automaattinen", A}, {"poissa", A}, {"autoodpowied", A},
	{"odpowied\xc5\xba automatyczna", A}, {"nieobecno", A}, {"automatick", A}, {"automatikus v", A},
	{"h\xc3\xa1zon k\xc3\xadv", A}, {"r\xc4\x83spuns automat", A}, {"raspuns automat", A},
	{"\xd0\xb2\xd1\x82\xd0\xbe\xd0\xbc\xd0\xb0\xd1\x82\xd0\xb8\xd1\x87\xd0\xb5\xd1\x81\xd0\xba\xd0\xb8"
	 "\xd0\xb9 \xd0\xbe\xd1\x82\xd0\xb2\xd0\xb5\xd1\x82",
		A}, /* втоматический ответ */
	{"\xd0\xb2\xd1\x82\xd0\xbe\xd0\xbe\xd1\x82\xd0\xb2\xd0\xb5\xd1\x82", A}, /* втоответ */
	{"\xd0\xb2\xd1\x82\xd0\xbe\xd0\xbc\xd0\xb0\xd1\x82\xd0\xb8\xd1\x87\xd0\xbd\xd0\xb0 "
	 "\xd0\xb2\xd1\x96\xd0\xb4\xd0\xbf\xd0\xbe\xd0\xb2\xd1\x96\xd0\xb4",
		A}, /* втоматична відповід */
	{"\xcf\x85\xcf\x84\xcf\x8c\xce\xbc\xce\xb1\xcf\x84\xce\xb7 \xce\xb1\xcf\x80", A}, /* υτόματη απ */
	{"otomatik yan\xc4\xb1t", A}, {"otomatik cevap", A}, {"ofis d\xc4\xb1\xc5\x9f\xc4\xb1nda", A},
	{"\xd7\xaa\xd7\xa9\xd7\x95\xd7\x91\xd7\x94 "
	 "\xd7\x90\xd7\x95\xd7\x98\xd7\x95\xd7\x9e\xd7\x98\xd7\x99\xd7\xaa",
		A}, /* תשובה אוטומטית */
	{"\xd7\x9e\xd7\xa2\xd7\xa0\xd7\x94 \xd7\x90\xd7\x95\xd7\x98\xd7\x95\xd7\x9e\xd7\x98\xd7\x99",
		A}, /* מענה אוטומטי */
	{"\xd8\xb1\xd8\xaf \xd8\xaa\xd9\x84\xd9\x82\xd8\xa7\xd8\xa6\xd9\x8a", A}, /* رد تلقائي */
	{"自動応答", A | SAYS_AWAY_TEXT}, {"自動返信", A | SAYS_AWAY_TEXT}, {"不在", A}, {"自动回复", A}, {"自动答复", A}, {"自動回覆", A},
	{"自動回复", A}, {"자동 회신", A}, {"자동응답", A}, {"자동 응답", A}, {"부재중", A}, {"trả lời tự động", A}, {"ตอบกลับอัตโนมัติ", A},
	{"balasan otomatis", A}, {"jawaban otomatis", A}, {"we have received your", SAYS_AWAY_TEXT},
	{"has been received and", SAYS_AWAY_TEXT}, {"no longer work", SAYS_AWAY_TEXT},
	{"no longer with the company", SAYS_AWAY_TEXT}, {"i am currently out", SAYS_AWAY_TEXT},
	{"i'm currently out", SAYS_AWAY_TEXT}, {"i will be out", SAYS_AWAY_TEXT}, {"i am on vacation", SAYS_AWAY_TEXT},
	{"on vacation until", SAYS_AWAY_TEXT}, {"limited access to", SAYS_AWAY_TEXT}, {"i am away", SAYS_AWAY_TEXT},
	{"will respond to your", SAYS_AWAY_TEXT}, {"when i return", SAYS_AWAY_TEXT}, {"upon my return", SAYS_AWAY_TEXT},
	{"my return", SAYS_AWAY_TEXT}, {"this is an automat", SAYS_AWAY_TEXT}, {"ticket", A}, {"case #", A},
	{"request received", A}, {"[ticket", A}, {"acknowledgement", A},
	/* ---- challenges ---- */
	{"verify that you are", SAYS_CONFIRM}, {"verify you are", SAYS_CONFIRM}, {"prove you are human", SAYS_CONFIRM},
	{"confirm that you are", SAYS_CONFIRM}, {"confirm your message", SAYS_CONFIRM}, {"held until", SAYS_CONFIRM},
	{"requires confirmation", SAYS_CONFIRM}, {"confirm delivery", SAYS_CONFIRM},
	{"sender verification", SAYS_CONFIRM}, {"spam arrest", SAYS_CONFIRM}, {"spamarrest", SAYS_CONFIRM},
	{"boxbe", SAYS_CONFIRM}, {"tmda", SAYS_CONFIRM}, {"spamblocker", SAYS_CONFIRM}, {"antispam uol", SAYS_CONFIRM},
	{"awaiting your confirmation", SAYS_CONFIRM}, {"approved senders", SAYS_CONFIRM},
	{"add you to my list", SAYS_CONFIRM}, {"authenticate yourself", SAYS_CONFIRM},
	{"please confirm your email", SAYS_CONFIRM}, {"guest list", SAYS_CONFIRM}, {"waiting list", SAYS_CONFIRM},
	{"reply to this message to confirm", SAYS_CONFIRM}, {"click on the link below to", SAYS_CONFIRM},
	{"reply to this email to", SAYS_CONFIRM}, {"pre-approved", SAYS_CONFIRM}, {"first time you", SAYS_CONFIRM},
	{"quarantined until", SAYS_CONFIRM}, {"zur best\xc3\xa4tigung", SAYS_CONFIRM}, {"allow list", SAYS_CONFIRM},
	{"release your message", SAYS_CONFIRM}, {"challenge", SAYS_CONFIRM},
	/* ---- receipts ---- */
	{"read:", SAYS_READ}, {"not read:", SAYS_READ}, {"read receipt", SAYS_READ}, {"return receipt", SAYS_READ},
	{"disposition notification", SAYS_READ}, {"gelesen:", SAYS_READ}, {"lu :", SAYS_READ}, {"lu:", SAYS_READ},
	{"le\xc3\xad"
	 "do:",
		SAYS_READ},
	{"letto:", SAYS_READ}, {"lida:", SAYS_READ}, {"gelezen:", SAYS_READ}, {"開封済み", SAYS_READ}, {"開封確認", SAYS_READ},
	{"已读:", SAYS_READ}, {"lesebest\xc3\xa4tigung", SAYS_READ}, {"accus\xc3\xa9 de lecture", SAYS_READ},
	{"deleted without being read", SAYS_READ},
	/* ---- notices about mail that are no bounces ---- */
	{"bounce action notification", SAYS_NOTICE}, {"mailing list bounce", SAYS_NOTICE},
	{"unsubscribe notification", SAYS_NOTICE}, {"subscription disabled", SAYS_NOTICE}, {"quota warning", SAYS_NOTICE},
	{"mailbox is almost full", SAYS_NOTICE}, {"mailbox almost full", SAYS_NOTICE}, {"your mailbox is", SAYS_NOTICE},
	{"your mailbox has", SAYS_NOTICE}, {"running out of space", SAYS_NOTICE}, {"approaching its", SAYS_NOTICE},
	{"moderator approval", SAYS_NOTICE}, {"post awaits", SAYS_NOTICE}, {"awaits moderator", SAYS_NOTICE},
	{"uncaught bounce", SAYS_NOTICE}, {"postfach ist fast voll", SAYS_NOTICE},
	{"quarantine notification", SAYS_NOTICE}, {"quarantine summary", SAYS_NOTICE}, {"spam digest", SAYS_NOTICE},
	{"quarantine report", SAYS_NOTICE}, {"quarantine digest", SAYS_NOTICE}, {"probe message", SAYS_NOTICE},
};
/* clang-format on */

const unsigned phrase_list_n = sizeof phrase_list / sizeof phrase_list[0];
