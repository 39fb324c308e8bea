# make demo    audit real spam data and say where the report is
# make test    run all tests; with ONLY=features those of one folder, in less than a minute
# make lint    ruff and mypy
# make bench   the figures of the README, measured again (minutes)
# make docs    the documentation as a site, in site/
# make release-check   wheel and sdist in clean environments, with the newest and the oldest versions (minutes)
# make paper   the figures of Koh & Liang (2017), each with the paper's number beside ours; ARGS=--quick for minutes
# make clean   remove everything that make made
#
# Each installs what it needs into .venv first; nothing else has to be typed, and Python ≥ 3.11 is all it takes.

.PHONY: demo test lint bench docs paper release-check clean
.DELETE_ON_ERROR:

BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check install --constraint constraints.txt

demo: .venv/installed
	$(BIN)/audit demo --out audit-demo

# One BLAS thread per worker: two workers that each start a thread per core slow each other down. Each worker has
# whole files, so that what a file prepares is prepared once; whoever is done first takes some of the other's.
test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS) $(addprefix tests/,$(ONLY))

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed-bench
	@for script in $$(grep -l __main__ tests/benchmarks/*.py); do \
		echo "== $$script" && $(BIN)/python $$script || exit 1; \
	done

docs: .venv/installed
	$(BIN)/python docs/generate.py
	$(BIN)/zensical build --clean --strict
	@rm -f site/generate.py

# Where the corpora are, as Parquet: make paper DATA=folder
DATA := ../shared/data

paper: .venv/installed
	@for script in examples/paper/hospital.py examples/paper/figure*.py; do \
		case $$script in *hospital.py) given=$(DATA)/diabetes130.parquet ;; *) given="$(DATA) $(ARGS)" ;; esac; \
		echo "== $$script" && start=$$(date +%s) && $(BIN)/python $$script --data $$given || exit 1; \
		echo "-- $$(($$(date +%s) - start)) s"; \
	done

release-check: .venv/installed
	$(BIN)/python tests/release.py

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist site .cache dataaudit.egg-info audit-demo paper-figures
	find dataaudit reports rules tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

# The first Python ≥ 3.11 that runs (a name on the PATH may be a stub that does not) and can make environments.
.venv/installed: pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 && exit 0; \
	found=; old=; bare=; \
	for python in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
		$$python -c 'pass' 2>/dev/null || continue; \
		$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { old=$$python; continue; }; \
		$$python -c 'import ensurepip, venv' 2>/dev/null || { bare=$$python; continue; }; \
		found=$$python; break; \
	done; \
	if [ -n "$$found" ]; then \
		echo "Installing into .venv with $$($$found --version); the first time takes a few minutes." && \
		$$found -m venv .venv; \
	elif [ -n "$$bare" ]; then \
		echo "error: $$bare cannot make virtual environments." \
			"Hint: install its venv package (Debian, Ubuntu: apt install python3-venv)." >&2; exit 1; \
	else \
		echo "error: no Python 3.11 or newer was found$${old:+: got $$($$old --version)}." \
			"Hint: install one, or name it: make PYTHON=/path/to/python3.12." >&2; exit 1; \
	fi
	$(PIP) --editable '.[dev,demo]'
	@touch $@

.venv/installed-bench: .venv/installed
	$(PIP) --editable '.[bench]'
	@touch $@
