# SPDX-License-Identifier: GPL-2.0-or-later
# `make WORD` is `./do WORD`, for fingers that know make. What each word does: ./do help

WORDS := fuzz test test-slow test-kernel test-quality asan smoke smoke-kernel lint bench build dist
WORDS += clean help

.DEFAULT_GOAL := help
.PHONY: $(WORDS)

$(WORDS):
	@./do $@
