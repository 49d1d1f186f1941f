# make only forwards to nox; noxfile.py says what each session does. nox is fetched into .make/ when it is not installed.
PYTHON ?= python3
NOX := $(shell command -v nox 2>/dev/null || echo .make/bin/nox)
SESSIONS := lint types unit coverage smoke plan demo real bench peers crash luck fuzz wire calibrate planted golden tickets hosts plugins browser page_types direct dask remote pictures exports wheel site unattended

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

# A pip before 24.2 trusts only certificates of its own: unless it is told of others, the system's are named, which have those of a company's proxy too.
SYSTEM_CERTS := $(firstword $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem))

.make/bin/nox:
	$(PYTHON) -m venv .make
	.make/bin/python -m pip config get global.cert >/dev/null 2>&1 || export PIP_CERT="$${PIP_CERT:-$(SYSTEM_CERTS)}"; \
	.make/bin/python -m pip install --quiet --disable-pip-version-check "nox>=2024.10" "uv>=0.5"
