/* Integers without a limit (as far as MAX_LIMBS), for liquid_number.c. mag_: signs are not looked at. All
 * results are new, in the render's arena; NULL or -1 after lq_fail(). */
#ifndef TEMPLATES_LIQUID_BIG_H
#define TEMPLATES_LIQUID_BIG_H

#include "templates/liquid_private.h"

void lq_big_trim(struct big *b);
struct big *lq_big_from(struct vm *vm, int64_t i);
struct big *lq_big_digits(struct vm *vm, struct str d);
int lq_mag_cmp(const struct big *a, const struct big *b);
struct big *lq_mag_add(struct vm *vm, const struct big *a, const struct big *b);
struct big *lq_mag_mul(struct vm *vm, const struct big *a, const struct big *b);
struct big *lq_mag_scale(struct vm *vm, const struct big *a, uint32_t factor);
int lq_mag_divmod(
	struct vm *vm, const struct big *a, const struct big *b, struct big **q_out, struct big **r_out);
struct big *lq_big_pow10(struct vm *vm, int64_t k);
int64_t lq_big_ndigits(const struct big *b);
struct big *lq_big_shift(struct vm *vm, const struct big *a, int64_t k);
struct big *lq_big_add(struct vm *vm, const struct big *a, const struct big *b, bool negate);
int lq_big_divmod(struct vm *vm, const struct big *a, const struct big *b, struct big **q, struct big **r);
size_t lq_big_write(const struct big *b, char *p);
bool lq_big_fits(const struct big *b, int64_t *out);

#endif
