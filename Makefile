# SchemaBot: build, check, install. `make demo` and `make test` do their own set-up;
# everything that is built lands in .build/<variant>/ (release, test, asan, tsan, fuzz).

VARIANT ?= test
ifeq ($(origin CC),default)
CC := $(if $(filter fuzz,$(VARIANT)),clang,gcc)
endif
BUILD := .build/$(VARIANT)
PREFIX ?= /usr/local
DESTDIR ?=

PKGS := libconfig json-c talloc libcrypto zlib libzstd
MYSQL_CFLAGS := $(shell mysql_config --cflags 2>/dev/null | sed 's/-I/-isystem /g')
MYSQL_LIBS := $(shell mysql_config --libs 2>/dev/null)
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wformat=2 -Wundef -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wvla -Wswitch-enum -Wnull-dereference -fno-common
ifneq ($(WERROR),0)
WARN += -Werror
endif
CPPFLAGS_ALL := -D_GNU_SOURCE -I. -I$(BUILD)/gen $(MYSQL_CFLAGS) \
	$(shell pkg-config --cflags $(PKGS) 2>/dev/null)
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
CFLAGS_release := -O2 -D_FORTIFY_SOURCE=3 $(HARDEN)
CFLAGS_test := -O1 -DSB_FAULTS $(HARDEN)
CFLAGS_oracle := $(CFLAGS_test)
CFLAGS_asan := -O1 -DSB_FAULTS -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
CFLAGS_tsan := -O1 -DSB_FAULTS -fsanitize=thread -fPIE
CFLAGS_fuzz := -O1 -DSB_FAULTS -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
LDFLAGS_test := $(LDFLAGS_release)
LDFLAGS_oracle := $(LDFLAGS_release)
LDFLAGS_asan := -fsanitize=address,undefined
LDFLAGS_fuzz := -fsanitize=fuzzer,address,undefined
LDFLAGS_tsan := -fsanitize=thread -pie
CFLAGS_ALL := -std=c17 -g $(WARN) $(CFLAGS_$(VARIANT)) -pthread $(CFLAGS)
LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) $(MYSQL_LIBS) -pthread

LIB_SRC := $(wildcard core/base/*.c core/model/*.c core/store/*.c core/schema/*.c \
	core/drive/*.c engines/*.c engines/*/*.c engines/*/*/*.c)
SCHED_LIB_SRC := $(filter-out %_main.c,$(wildcard core/scheduler/*.c))
FCGI_SRC := $(wildcard fcgi/*.c)
FCGI_LIB_SRC := $(filter-out fcgi/main.c,$(FCGI_SRC))
UNIT_SRC := $(wildcard tests/unit/*.c)
IT_SRC := $(wildcard tests/it/test_*.c)
GEN := $(BUILD)/gen/storage_sql.h

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
BINS := $(addprefix $(BUILD)/bin/,schemabot.fcgi schemabot-scheduler schemabot-driver \
	schemabot-reaper)
# What the fuzzed code needs of ours.
FUZZ_LIB_SRC := $(wildcard core/base/*.c core/schema/*.c engines/*.c \
	engines/mysql/binlog/*.c) engines/mysql/copy/pending.c \
	engines/mysql/copy/statement.c
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
UNITS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(UNIT_SRC)) \
	$(patsubst tests/it/%.c,$(BUILD)/tests-it/%,$(IT_SRC))
BENCHES := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))

.PHONY: all deps demo demo-stop test check-unit check-it asan oracle tsan lint fmt fmt-check \
	layers hdr-check analyze hooks bench bench-engine soak install clean units fuzz fuzzers

# Keep the objects of the programs: make would count them as intermediate.
.SECONDARY:

all: $(BINS)

deps:
	@etc/dev/deps test

# Targets that a newcomer runs first install what is missing, then build in a second
# make, which sees the freshly installed headers and tools.
demo:
	@etc/dev/deps build
	@$(MAKE) --no-print-directory -s VARIANT=release all
	@SB_VARIANT=release tests/demo

demo-stop:
	@tests/demo --stop

test:
	@etc/dev/deps test
	@$(MAKE) --no-print-directory -s lint
	@$(MAKE) --no-print-directory -s VARIANT=test all units
	@$(MAKE) --no-print-directory -s VARIANT=asan all units
	@$(MAKE) --no-print-directory -s VARIANT=fuzz fuzzers
	@tests/run

check-unit: units
	@tests/run unit

check-it: all units
	@tests/run it

asan:
	@$(MAKE) --no-print-directory -s VARIANT=asan all units
	@SB_VARIANT=asan tests/run unit it

# With Oracle's client library instead of MariaDB's; its programs are started by
# `tests/servers/mysqlclient`'s PREFIX/run. ORACLE_GOALS: what to build.
ORACLE_GOALS ?= all units
oracle:
	@prefix=$$(tests/servers/mysqlclient) && \
	library=$$(find $$prefix/usr/lib -name libmysqlclient.so) && \
	$(MAKE) --no-print-directory -s VARIANT=oracle $(ORACLE_GOALS) \
		MYSQL_CFLAGS="-isystem $$prefix/usr/include -isystem $$prefix/usr/include/mysql" \
		MYSQL_LIBS="-Wl,--allow-shlib-undefined $$library"

tsan:
	@$(MAKE) --no-print-directory -s VARIANT=tsan all units

# What is only measured is built with them: it has to keep up with the rest.
units: $(UNITS) $(BENCHES)

$(BUILD)/lib.a: $(call obj,$(LIB_SRC) $(SCHED_LIB_SRC))
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUILD)/bin/schemabot.fcgi: $(call obj,$(FCGI_SRC)) $(BUILD)/lib.a
	@mkdir -p $(@D)
	@echo "LD $@"
	@$(CC) $(LDFLAGS_$(VARIANT)) -o $@ $^ -lfcgi $(LIBS)

$(BUILD)/bin/schemabot-%: $(BUILD)/obj/core/scheduler/%_main.o $(BUILD)/lib.a
	@mkdir -p $(@D)
	@echo "LD $@"
	@$(CC) $(LDFLAGS_$(VARIANT)) -o $@ $^ $(LIBS)

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(call obj,$(FCGI_LIB_SRC)) $(BUILD)/lib.a
	@mkdir -p $(@D)
	@echo "LD $@"
	@$(CC) $(LDFLAGS_$(VARIANT)) -o $@ $^ -lcmocka -lfcgi $(LIBS)

$(BUILD)/tests-it/%: $(BUILD)/obj/tests/it/%.o $(BUILD)/obj/tests/it/store.o \
		$(BUILD)/obj/tests/it/copy_load.o $(BUILD)/lib.a
	@mkdir -p $(@D)
	@echo "LD $@"
	@$(CC) $(LDFLAGS_$(VARIANT)) -o $@ $^ -lcmocka $(LIBS)

fuzzers: $(FUZZERS)

$(BUILD)/fuzz.a: $(call obj,$(FUZZ_LIB_SRC))
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUILD)/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/fuzz.a
	@mkdir -p $(@D)
	@echo "LD $@"
	@$(CC) $(LDFLAGS_$(VARIANT)) -o $@ $^ $(LIBS)

$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(BUILD)/lib.a
	@mkdir -p $(@D)
	@echo "LD $@"
	@$(CC) $(LDFLAGS_$(VARIANT)) -o $@ $^ $(LIBS)

# Our own tables, as data: every binary carries the storage schema it understands.
$(GEN): $(sort $(wildcard sql/storage/*.sql)) etc/dev/embed-sql
	@mkdir -p $(@D)
	@etc/dev/embed-sql sql/storage > $@.tmp && mv $@.tmp $@

# Flags, compiler and sources are prerequisites: changing any rebuilds what it touches.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL)' | cmp -s - $@ || \
		echo '$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL)' > $@
FORCE:

$(BUILD)/obj/%.o: %.c $(GEN) $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

C_FILES = $(shell git ls-files -co --exclude-standard '*.c' '*.h')

fmt:
	@clang-format --style=file:etc/dev/clang-format -i $(C_FILES)

fmt-check:
	@clang-format --style=file:etc/dev/clang-format --dry-run -Werror $(C_FILES)

layers:
	@etc/dev/layers

# Every header must compile alone.
hdr-check: $(GEN)
	@for h in $(filter %.h,$(C_FILES)); do \
		$(CC) $(CPPFLAGS_ALL) -std=c17 $(WARN) -fsyntax-only -include $$h -x c /dev/null \
			|| exit 1; \
	done

lint: fmt-check layers hdr-check

analyze:
	@clang-tidy --quiet --config-file=etc/dev/clang-tidy \
		$(filter %.c,$(filter-out tests/%,$(C_FILES))) -- -std=c17 $(CPPFLAGS_ALL)

hooks:
	@git config core.hooksPath etc/dev/hooks

bench:
	@etc/dev/deps bench
	@$(MAKE) --no-print-directory -s VARIANT=release all .build/release/bench/claim
	@$(MAKE) --no-print-directory -s VARIANT=test all
	@SB_VARIANT=release tests/bench/run

# SB_ROWS=5000000 for a larger table; tests/bench/engine has the rest.
bench-engine:
	@etc/dev/deps bench
	@$(MAKE) --no-print-directory -s VARIANT=release .build/release/bench/change \
		.build/release/bench/load
	@SB_VARIANT=release tests/bench/engine

MINUTES ?= 10
# All fuzzers side by side.
fuzz:
	@etc/dev/deps test
	@$(MAKE) --no-print-directory -s VARIANT=fuzz fuzzers
	@SB_FUZZ_SECONDS=$$(($(MINUTES) * 60)) SB_SEED=$(or $(SEED),$$(date +%s)) tests/run fuzz

soak:
	@etc/dev/deps test
	@$(MAKE) --no-print-directory -s VARIANT=test all
	@SB_VARIANT=test tests/soak/run --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

# What drivers, scheduler, reaper and operators may do to each other, and writers and crashes
# to an online copy, exhaustively.
model:
	@etc/dev/deps test
	@SB_MODEL_LARGE=1 tests/model/run

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/schemabot
	install -m 0755 $(BINS) $(DESTDIR)$(PREFIX)/bin
	cp -r etc nginx sql nginx/dashboard $(DESTDIR)$(PREFIX)/share/schemabot/

clean:
	rm -rf .build
