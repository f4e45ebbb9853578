# Postrider. One Makefile for everything; objects and dependency files go below $(B).
#
#   make              build/postrider
#   make help         this text
#   make demo         install what is missing, build, and watch the main job against the built-in sandbox
#   make install      PREFIX=, UNITDIR= (systemd's) and DESTDIR= are respected; also uninstall
#   make deps         install the Debian packages that build and tests need; does nothing when all are there
#                     (deps-lint, deps-cov, deps-bench: what lint and fuzzing, coverage and bench need besides)
#   make clean        remove everything that was built
#
#   make test         everything below in short forms
#   make test-unit    cmocka programs; test-floors: includes go down only, headers compile alone
#   make test-e2e     against real servers; T=NAME for some
#   make fault        kills, power cuts, a full disk, no memory at every place; K=KIND for one kind
#   make soak         everything at once for M=MINUTES
#   make fuzz         libFuzzer over a parser, T=NAME S=SECONDS; fuzz-replay: the kept inputs; fuzz-coverage: what they reach
#   make coverage     lines and branches that the tests run
#   make conformance  suites of others, SUITE=FILE BOUNCES=DIR
#   make bench        measured beside other programs, into build/bench/report.md; T="NAME..." for some, bench-quick in two minutes
#   make format       clang-format
#   make lint         clang-format's check, gcc -fanalyzer (alone: analyze), clang-tidy and cppcheck
#
# SAN=1 is ASan and UBSan, SAN=thread TSan, SAN=fuzz clang's instrumentation for fuzzing, SAN=cov and SAN=fuzz-cov count
# the lines that run; each in a build folder of its own. CC=, CFLAGS=, LDFLAGS= and B= are respected; other flags rebuild what they change. V=1 shows the commands.

PREFIX  ?= /usr/local
UNITDIR ?= $(PREFIX)/lib/systemd/system
DESTDIR ?=
CFLAGS  ?= -O2 -g
SAN     ?=
PYTHON  ?= python3
# Warnings are errors for us; a packager with another compiler says WERROR=.
WERROR  ?= -Werror

ifeq ($(SAN),)
B := build
else ifeq ($(SAN),1)
B := build-asan
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifeq ($(SAN),fuzz)
B := build-fuzz
CC := clang
SANFLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifeq ($(SAN),cov)
B := build-cov
SANFLAGS := --coverage -fprofile-update=atomic
else ifeq ($(SAN),fuzz-cov)
B := build-fuzz-cov
CC := clang
SANFLAGS := -fprofile-instr-generate -fcoverage-mapping
else
B := build-$(SAN)
SANFLAGS := -fsanitize=$(SAN) -fno-omit-frame-pointer
endif

VERSION := 0.2.0
Q       := $(if $(V),,@)
say      = $(if $(V),,@echo "  $(1)")
PKGS    := openssl sqlite3 libidn2 jansson uchardet zlib libcurl gmime-3.0
OWN     := -std=c17 -D_GNU_SOURCE -DPOSTRIDER_VERSION='"$(VERSION)"' -I. -pthread -MMD -MP \
	   -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wwrite-strings -Wundef $(WERROR) \
	   -Wformat=2 -fstack-protector-strong -fstack-clash-protection -fPIE $(SANFLAGS)
ifeq ($(SAN),)
# What this compiler and processor know of it. Measured on the way of a message: free.
HARDEN  := $(foreach f,-ftrivial-auto-var-init=zero -fcf-protection,$(shell $(CC) $f -x c -c -o /dev/null /dev/null 2>/dev/null && echo '$f'))
OWN     += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 $(HARDEN)
else ifeq ($(findstring clang,$(CC)),)
# gcc's flow analysis sees paths that only the sanitizers' own code makes.
OWN     += -Wno-maybe-uninitialized -Wno-format-truncation
endif
OWN     += $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
comma   := ,
# libev also has libevent's names; where libunbound is built on libevent it must find the real ones, so they come first.
EVENT   := $(shell ldd "$$($(CC) -print-file-name=libunbound.so)" 2>/dev/null | awk '/libevent/ {print $$3; exit}')
LIBS    := $(if $(EVENT),-Wl$(comma)--push-state$(comma)--no-as-needed $(EVENT) -Wl$(comma)--pop-state) $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lmd4c-html -lmd4c -lev -lcsv -linih -lunbound -lunistring -lresolv -lm
OWNLD   := -pie -Wl,-z,relro,-z,now -pthread $(SANFLAGS)

LIBDIRS := src/base src/config src/db lists templates engine engine/smtp engine/bounce engine/dkim engine/dns engine/shape src/serve
LIBSRC  := $(wildcard $(addsuffix /*.c,$(LIBDIRS)))
# The command line is in the library too, so that tests reach its parts; only main() stands apart.
MAINSRC := src/cli/main.c
CLISRC  := $(filter-out $(MAINSRC),$(wildcard src/cli/*.c))
# Files that ship inside the program: name.ext becomes the bytes asset_name_ext[] and their number asset_name_ext_len.
ASSETS  := $(wildcard templates/layouts/*.html) engine/rules.conf engine/shaping.conf examples/first/postrider.conf examples/first/newsletter.md examples/first/readers.csv
LIBOBJ  := $(LIBSRC:%.c=$B/%.o) $(CLISRC:%.c=$B/%.o) $(ASSETS:%=$B/%.asset.o)
MAINOBJ := $(MAINSRC:%.c=$B/%.o)
UNITSRC := $(wildcard tests/unit/test_*.c tests/flow/test_*.c)
UNIT    := $(UNITSRC:tests/%.c=$B/tests/%)
# What tests of one folder share (tests/flow/script.c …) is linked into each of its programs.
FLOWOBJ := $(patsubst %.c,$B/%.o,$(filter-out $(UNITSRC),$(wildcard tests/flow/*.c)))
# The program with faults on demand: the same objects, linked with what brings them (tests/fault/inject).
FAULTOBJ := $(patsubst %.c,$B/%.o,$(wildcard tests/fault/inject/*.c))
WRAPPED := malloc calloc realloc strdup strndup asprintf vasprintf __asprintf_chk __vasprintf_chk clock_gettime clock_mono sqlite3_open_v2
TOOLSRC := $(wildcard tests/tools/*.c)
TOOLS   := $(TOOLSRC:tests/tools/%.c=$B/tools/%)
FUZZSRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ    := $(FUZZSRC:tests/fuzz/fuzz_%.c=$B/fuzz/%)

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all tools units
all: $B/postrider
tools: $(TOOLS) $B/fault/postrider
units: $(UNIT) $(FLOWOBJ)

# Holds the compiler and its flags; rewritten only when they change, so that what depends on it is then built again.
FLAGS := $(CC) $(OWN) $(CPPFLAGS) $(CFLAGS) | $(OWNLD) $(LDFLAGS) $(LIBS)
$B/flags: FORCE
	@mkdir -p $(@D)
	@pkg-config --exists $(PKGS) || { echo "postrider: libraries are missing: 'make deps' installs them" >&2; exit 1; }
	@echo '$(subst ','\'',$(FLAGS))' | cmp -s - $@ || echo '$(subst ','\'',$(FLAGS))' >$@
.PHONY: FORCE
FORCE:

$B/postrider: $(MAINOBJ) $B/libpostrider.a
	$(call say,link $@)
	$(Q)$(CC) $(OWNLD) $(LDFLAGS) -o $@ $^ $(LIBS)

$B/fault/postrider: $(MAINOBJ) $(FAULTOBJ) $B/libpostrider.a
	@mkdir -p $(@D)
	$(call say,link $@)
	$(Q)$(CC) $(OWNLD) -rdynamic $(addprefix -Wl$(comma)--wrap=,$(WRAPPED)) $(LDFLAGS) -o $@ $^ $(LIBS)

$B/libpostrider.a: $(LIBOBJ)
	@rm -f $@
	@$(AR) rcs $@ $^

$B/%.o: %.c $B/flags
	@mkdir -p $(@D)
	$(call say,cc   $<)
	$(Q)$(CC) $(OWN) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$B/%.asset.o: % $B/flags
	@mkdir -p $(@D)
	@n=asset_$(subst .,_,$(subst -,_,$(notdir $<))); { \
	  printf '#include <stddef.h>\nextern const unsigned char %s[];\nextern const size_t %s_len;\n' $$n $$n; \
	  printf 'const unsigned char %s[] = {' $$n; od -An -v -tx1 $< | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'; \
	  printf '0};\nconst size_t %s_len = sizeof %s - 1;\n' $$n $$n; } >$B/$*.asset.c
	$(Q)$(CC) $(OWN) $(CFLAGS) -c -o $@ $B/$*.asset.c

# ---- Tests ----

# One cmocka program for each tests/unit/test_*.c and tests/flow/test_*.c, linked with the program's own objects.
$B/tests/flow/%: tests/flow/%.c $(FLOWOBJ) $B/libpostrider.a $B/flags
	@mkdir -p $(@D)
	$(call say,link $@)
	$(Q)$(CC) $(OWN) $(CPPFLAGS) $(CFLAGS) $(OWNLD) $(LDFLAGS) -o $@ $< $(FLOWOBJ) $B/libpostrider.a $(LIBS) -lcmocka
$B/tests/%: tests/%.c $B/libpostrider.a $B/flags
	@mkdir -p $(@D)
	$(call say,link $@)
	$(Q)$(CC) $(OWN) $(CPPFLAGS) $(CFLAGS) $(OWNLD) $(LDFLAGS) -o $@ $< $B/libpostrider.a $(LIBS) -lcmocka
$B/tools/%: tests/tools/%.c $B/libpostrider.a $B/flags
	@mkdir -p $(@D)
	$(call say,link $@)
	$(Q)$(CC) $(OWN) $(CPPFLAGS) $(CFLAGS) $(OWNLD) $(LDFLAGS) -o $@ $< $B/libpostrider.a $(LIBS)
BENCHSRC := $(wildcard tests/bench/*.c)
$B/bench/driver/templates: $(BENCHSRC:%.c=$B/%.o) $B/libpostrider.a
	@mkdir -p $(@D)
	$(call say,link $@)
	$(Q)$(CC) $(OWNLD) $(LDFLAGS) -o $@ $^ $(LIBS)
# Under SAN=fuzz with libFuzzer; in other builds with a driver that only replays files.
$B/fuzz/%: tests/fuzz/fuzz_%.c $B/tests/fuzz/replay.o $B/libpostrider.a $B/flags
	@mkdir -p $(@D)
	$(call say,link $@)
	$(Q)$(CC) $(OWN) -Wno-missing-prototypes $(CPPFLAGS) $(CFLAGS) $(OWNLD) $(LDFLAGS) -o $@ $< \
	  $(if $(filter fuzz,$(SAN)),-fsanitize=fuzzer,$B/tests/fuzz/replay.o) $B/libpostrider.a $(LIBS)

.PHONY: test test-unit test-floors test-e2e fault soak fuzz fuzz-replay fuzz-coverage coverage conformance bench bench-quick bench-prepare bench-build demo
test: deps
	@MAKE="$(MAKE)" PYTHON="$(PYTHON)" sh tests/run
test-unit: $(UNIT)
	@sh tests/unit/run.sh $(UNIT)
test-floors:
	@CC="$(CC)" $(PYTHON) tests/floors.py
test-e2e: all tools
	@POSTRIDER_BUILD=$B $(PYTHON) tests/e2e/run.py $(T)
# Everything that goes wrong, tried (docs/RELIABILITY.md): an hour and more. K=kinds of tests/fault/campaign.py: those alone.
fault: all tools
	@$(PYTHON) tests/fault/campaign.py $(K)
	@$(if $(K),:,$(PYTHON) tests/fault/kill.py --long)
# Everything at once for M minutes, into build/soak/report.md.
M ?= 45
soak: all tools
	@$(PYTHON) tests/fault/soak.py --minutes $(M)
fuzz-replay: $(FUZZ)
	@sh tests/fuzz/replay.sh $B/fuzz
# T=name of one target (default: all), S=seconds for each; what is found new is kept in build-fuzz/corpus.
S ?= 60
fuzz: deps-lint
	@$(MAKE) --no-print-directory SAN=fuzz $(addprefix build-fuzz/fuzz/,$(if $(T),$(T),$(notdir $(FUZZ))))
	@sh tests/fuzz/run.sh $(S) $(if $(T),$(T),$(notdir $(FUZZ)))
# Of each target's parser, the lines that its kept inputs run.
fuzz-coverage: deps-lint
	@$(MAKE) --no-print-directory SAN=fuzz-cov $(addprefix build-fuzz-cov/fuzz/,$(if $(T),$(T),$(notdir $(FUZZ))))
	@sh tests/fuzz/coverage.sh $(if $(T),$(T),$(notdir $(FUZZ)))
# The lines and branches that unit tests, dialogues and e2e tests run; what none runs is in build-cov/uncovered.txt.
coverage: deps-cov
	@$(MAKE) --no-print-directory SAN=cov all units tools
	@$(PYTHON) tests/coverage.py --reset
	-@$(MAKE) --no-print-directory SAN=cov test-unit
	-@$(MAKE) --no-print-directory SAN=cov test-e2e
	@$(PYTHON) tests/coverage.py
# SUITE: a JSON file in golden-liquid's format.
SUITE ?= ../shared/data/golden_liquid.json
# BOUNCES: a folder with returned mail, as tests/bounces.py describes it.
BOUNCES ?= ../shared/data/bounces
conformance: all tools
	@$(PYTHON) tests/conformance.py $B/postrider $(SUITE)
	@$(PYTHON) tests/bounces.py $B/tools/read_bounces $(BOUNCES)
# T: names of benchmarks (tests/bench/run.py --list); without, all but the long ones, in about twenty minutes.
bench: bench-build
	@$(PYTHON) tests/bench/run.py $(T)
bench-quick: bench-build
	@$(PYTHON) tests/bench/run.py --quick $(T)
bench-prepare: bench-build
	@$(PYTHON) tests/bench/run.py --prepare $(T)
bench-build: deps
	-@$(MAKE) --no-print-directory deps-bench
	@$(MAKE) --no-print-directory -j$$(nproc) all tools $B/bench/driver/templates
demo: deps
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@sh tests/demo.sh $B

# ---- What it needs from Debian ----

DEPS := gcc make pkg-config libc6-dev libev-dev libcsv-dev libinih-dev libidn2-dev libunistring-dev libuchardet-dev \
	libmd4c-dev libmd4c-html0-dev libjansson-dev zlib1g-dev libssl-dev libsqlite3-dev \
	libunbound-dev libcurl4-openssl-dev libgmime-3.0-dev
# Tests only: unit tests, the auditors, referees for mail, certificates, other people's programs to measure beside.
DEPS += libcmocka-dev python3 python3-dkim python3-nacl libgmime-3.0-0 libmime-tools-perl sqlite3 openssl curl tzdata time
# Only for make bench, which goes without those that it does not find.
BENCH_DEPS := g++ libctemplate-dev perl libtext-xslate-perl
# Only for make fuzz and make lint.
LINT_DEPS := clang libclang-rt-dev clang-format clang-tidy cppcheck llvm-14
# Only for make coverage.
COV_DEPS := gcovr

.PHONY: deps deps-lint deps-bench deps-cov
deps:
	@sh tests/deps.sh $(DEPS)
deps-lint:
	@sh tests/deps.sh $(LINT_DEPS)
deps-cov:
	@sh tests/deps.sh $(COV_DEPS)
deps-bench:
	@sh tests/deps.sh $(BENCH_DEPS)

# ---- The rest ----

.PHONY: install uninstall format lint clean
MAN := $(wildcard docs/man/*.[1-8])
DOC := README.md CHANGELOG.md LICENSE
UNITS := $(wildcard examples/systemd/postrider*)
install: all
	install -D -m 755 $B/postrider $(DESTDIR)$(PREFIX)/bin/postrider
	$(foreach m,$(MAN),install -D -m 644 $m $(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $m))/$(notdir $m) &&) :
	install -d $(DESTDIR)$(PREFIX)/share/doc/postrider/docs
	install -m 644 $(DOC) $(DESTDIR)$(PREFIX)/share/doc/postrider
	install -m 644 docs/*.md $(DESTDIR)$(PREFIX)/share/doc/postrider/docs
	cp -R docs/plots $(DESTDIR)$(PREFIX)/share/doc/postrider/docs/
	$(if $(wildcard examples),cp -R examples $(DESTDIR)$(PREFIX)/share/doc/postrider/)
	install -d $(DESTDIR)$(UNITDIR)
	$(foreach u,$(UNITS),sed 's|/usr/local/bin/|$(PREFIX)/bin/|' $u >$(DESTDIR)$(UNITDIR)/$(notdir $u) && chmod 644 $(DESTDIR)$(UNITDIR)/$(notdir $u) &&) :
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/postrider $(addprefix $(DESTDIR)$(UNITDIR)/,$(notdir $(UNITS))) \
	  $(foreach m,$(MAN),$(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $m))/$(notdir $m))
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/postrider

# The two analyzers, file by file; a file is looked at again when it, a header, a flag or a rule has changed. gcc's sees one
# file at a time: the macros for clang's tell it what our error functions return. Left out are its leaks: it loses what a
# container or a caller takes over; ASan looks for them in all tests.
ANALYZED := $(patsubst %.c,$B/analyzed/%.ok,$(LIBSRC) $(CLISRC) $(MAINSRC))
.PHONY: analyze
analyze: $(ANALYZED)
$B/analyzed/%.ok: %.c $B/flags .clang-tidy Makefile
	@mkdir -p $(@D)
	$(call say,analyze $<)
	$(Q)gcc $(filter-out -M% -D_FORTIFY%,$(OWN)) $(CPPFLAGS) -O0 -D__clang_analyzer__ -fanalyzer -Wno-analyzer-malloc-leak -Wno-unused-value \
	  -MMD -MP -MF $(@:.ok=.d) -MT $@ -S -o /dev/null $<
	$(Q)clang-tidy --quiet --warnings-as-errors='*' $< -- $(filter-out -M% $(HARDEN),$(OWN)) -Wno-unknown-warning-option 2>/dev/null
	@touch $@

CFILES = $(shell git ls-files '*.c' '*.h')
format:
	clang-format -i $(CFILES)
lint: deps-lint
	$(call say,cppcheck)
	$(Q)cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	  --suppress=missingIncludeSystem --suppress=memleak '-Djson_object_foreach(o,k,v)=while((v=json_at(o,&k)))' '-Djson_array_foreach(a,i,v)=while((v=json_at(a,&i)))' \
	  -D_GNU_SOURCE -DPOSTRIDER_VERSION='""' -I. -j$$(nproc) $(LIBSRC) $(CLISRC) $(MAINSRC)
	@$(MAKE) --no-print-directory -j$$(nproc) analyze
	$(call say,clang-format)
	$(Q)clang-format --dry-run -Werror $(CFILES)
clean:
	rm -rf build build-*

-include $(LIBOBJ:.o=.d) $(MAINOBJ:.o=.d) $(FAULTOBJ:.o=.d) $(FLOWOBJ:.o=.d) $(UNIT:=.d) $(TOOLS:=.d) $(FUZZ:=.d) $(BENCHSRC:%.c=$B/%.d) $(ANALYZED:.ok=.d)

.PHONY: help
help:
	@sed -n '1,/^$$/s/^#[ ]\{0,1\}//p' Makefile
