# make only forwards to nox; noxfile.py says what each session does. nox is fetched into .make/ when it is not installed.
PYTHON ?= python3
NOX := $(shell command -v nox 2>/dev/null || echo .make/bin/nox)
SESSIONS := lint types unit coverage smoke plan demo real bench crash luck fuzz wire calibrate planted golden tickets hosts plugins browser direct pictures

.PHONY: test help alt-smoke docs-lint unit-noscipy $(SESSIONS)

test: $(NOX)
	$(NOX)

$(SESSIONS): $(NOX)
	$(NOX) -s $@

alt-smoke: $(NOX)
	$(NOX) -s alt_smoke

docs-lint: $(NOX)
	$(NOX) -s docs_lint

unit-noscipy: $(NOX)
	$(NOX) -s unit-noscipy

help: $(NOX)
	$(NOX) -l

.make/bin/nox:
	$(PYTHON) -m venv .make
	.make/bin/python -m pip install --quiet --disable-pip-version-check "nox>=2024.10" "uv>=0.5"
