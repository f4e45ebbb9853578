# Postrider. One Makefile, no recursion; objects and dependency files below $(B).
#   make              build/postrider            make demo   install what is missing, build, show the main job
#   make test         all tests                  make bench  measured against peers and limits
#   SAN=1 ASan+UBSan, SAN=thread TSan; CC=clang and CFLAGS= are respected; PREFIX= and DESTDIR= for install

CC      ?= cc
PREFIX  ?= /usr/local
DESTDIR ?=
CFLAGS  ?= -O2 -g
SAN     ?=
# Warnings are errors for us; a packager with another compiler says WERROR=.
WERROR  ?= -Werror

ifeq ($(SAN),)
B := build
else ifeq ($(SAN),1)
B := build-asan
SANFLAGS := -Wno-maybe-uninitialized -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else
B := build-$(SAN)
SANFLAGS := -fsanitize=$(SAN) -fno-omit-frame-pointer
endif

VERSION := 0.1.0
# One short line for each step; V=1 shows the commands.
Q := $(if $(V),,@)
PKGS    := openssl sqlite3 libidn2 jansson uchardet zlib
OWN     := -std=c17 -D_GNU_SOURCE -DPOSTRIDER_VERSION='"$(VERSION)"' -I. -pthread -MMD -MP \
	   -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wwrite-strings -Wundef $(WERROR) \
	   -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE $(SANFLAGS)
ifneq ($(SAN),)
OWN     := $(filter-out -D_FORTIFY_SOURCE=2,$(OWN))
endif
OWN     += $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS    := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lmd4c-html -lmd4c -lev -lcsv -linih -lm
OWNLD   := -pie -Wl,-z,relro,-z,now -pthread $(SANFLAGS)

LIBDIRS := src/base src/config src/db lists templates engine engine/smtp src/serve
LIBSRC  := $(wildcard $(addsuffix /*.c,$(LIBDIRS)))
CLISRC  := $(wildcard src/cli/*.c)
LIBOBJ  := $(LIBSRC:%.c=$B/%.o)
CLIOBJ  := $(CLISRC:%.c=$B/%.o)
UNITSRC := $(wildcard tests/unit/test_*.c)
UNIT    := $(UNITSRC:tests/unit/%.c=$B/tests/%)
TOOLSRC := $(wildcard tests/tools/*.c)
TOOLS   := $(TOOLSRC:tests/tools/%.c=$B/tools/%)

.PHONY: all
all: $B/postrider

$B/postrider: $(CLIOBJ) $B/libpostrider.a
	$(if $(V),,@echo "  link $@")
	$(Q)$(CC) $(OWNLD) $(LDFLAGS) -o $@ $^ $(LIBS)

$B/libpostrider.a: $(LIBOBJ)
	@rm -f $@
	@$(AR) rcs $@ $^

$B/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  cc   $<")
	$(Q)$(CC) $(OWN) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# Files that ship inside the program: name.ext becomes a string `asset_name_ext`.
$B/%.asset.o: %
	@mkdir -p $(@D)
	@{ printf '#include <stddef.h>\nextern const unsigned char asset_%s[];\nextern const size_t asset_%s_len;\nconst unsigned char asset_%s[] = {' \
	  $(subst .,_,$(subst -,_,$(notdir $<))) $(subst .,_,$(subst -,_,$(notdir $<))) $(subst .,_,$(subst -,_,$(notdir $<))); \
	  od -An -v -tx1 $< | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'; \
	  printf '0};\nconst size_t asset_%s_len = sizeof asset_%s - 1;\n' $(subst .,_,$(subst -,_,$(notdir $<))) $(subst .,_,$(subst -,_,$(notdir $<))); } > $B/$*.asset.c
	$(Q)$(CC) $(OWN) $(CFLAGS) -c -o $@ $B/$*.asset.c

# Unit tests: one cmocka program for each tests/unit/test_*.c, linked with the program's own objects.
$B/tests/%: tests/unit/%.c $B/libpostrider.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  link $@")
	$(Q)$(CC) $(OWN) $(CPPFLAGS) $(CFLAGS) $(OWNLD) $(LDFLAGS) -o $@ $< $B/libpostrider.a $(LIBS) -lcmocka

$B/tools/%: tests/tools/%.c $B/libpostrider.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  link $@")
	$(Q)$(CC) $(OWN) $(CPPFLAGS) $(CFLAGS) $(OWNLD) $(LDFLAGS) -o $@ $< $B/libpostrider.a $(LIBS)

.PHONY: tools test-unit test
tools: $(TOOLS)

test-unit: $(UNIT)
	@for t in $(UNIT); do $$t >$$t.log 2>&1 || { cat $$t.log; echo "FAILED: $$t"; exit 1; }; done; echo "unit tests: $(words $(UNIT)) programs passed"

test: all test-unit

.PHONY: format clean
format:
	clang-format -i $$(git ls-files '*.c' '*.h')
clean:
	rm -rf build build-*

-include $(LIBOBJ:.o=.d) $(CLIOBJ:.o=.d) $(UNIT:=.d) $(TOOLS:=.d)
