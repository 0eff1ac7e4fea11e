# make demo makes a project from default answers and runs a day of real data. make test runs the tests.

PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
DEMO := build/demo
# Several test modules or engines at once, see tests/conftest.py: most of them wait at times.
SPREAD := --dist loadgroup --no-loadscope-reorder
PARALLEL ?= --numprocesses 3 $(SPREAD)
ENGINES_AT_ONCE ?= --numprocesses 2 $(SPREAD)
# uv trusts the system's certificates, as pip does: networks with their own certificate authority need this.
export UV_SYSTEM_CERTS ?= true

.DEFAULT_GOAL := help
.PHONY: help demo test test-engines test-deploy test-site test-fast conformance conformance-quick conformance-page lint decision-page integrations benchmarks constraints check-charts dashboards standards-page run-costs-page recommend docs docs-serve pictures release rendered-diff rendered-files new

help: ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/' | expand -t 16

.venv/.installed: pyproject.toml hooks/pyproject.toml
	@echo "installing Copier and the test tools into .venv"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --group dev --editable "hooks[fleet,inventory]"
	@touch $@

demo: .venv/.installed ## make a project with default answers and run its pipeline on real data
	@rm -rf $(DEMO)
	@$(BIN)/copier copy --quiet --defaults --vcs-ref HEAD $(CURDIR) $(DEMO) 2>&1 | grep -v -i -E 'dirty|^ *warn' || true
	@$(MAKE) --no-print-directory -C $(DEMO) run DATE=2013-01-02 UV=$(BIN)/uv

recommend: .venv/.installed ## ask the questions and print the recommendation; ANSWERS=answers.yml gives the answers, MEASURED=trial.json a trial's scores, FORMAT=json prints JSON
	@$(BIN)/python tools/recommend.py $(if $(ANSWERS),--answers '$(ANSWERS)') $(if $(MEASURED),--measured '$(MEASURED)') $(if $(FORMAT),--format '$(FORMAT)')

build/site-env/.installed: pyproject.toml | .venv/.installed
	@echo "installing the site's generator into build/site-env"
	@$(BIN)/uv venv --quiet --allow-existing build/site-env
	@$(BIN)/uv pip install --quiet --python build/site-env/bin/python --group docs
	@touch $@

# Pyodide runs the rules in the browser; Playwright drives a browser in tests.
build/npm/.installed: tools/site/package.json tools/site/package-lock.json
	@command -v npm >/dev/null || { echo "error: the decision page needs npm to fetch Pyodide; install Node.js 20 or newer with npm"; exit 1; }
	@echo "fetching Pyodide into build/npm"
	@mkdir -p build/npm && cp tools/site/package.json tools/site/package-lock.json build/npm
	@npm ci --prefix build/npm --ignore-scripts --no-audit --no-fund --silent
	@touch $@

docs: .venv/.installed build/site-env/.installed build/npm/.installed ## build the documentation site and the decision page in build/site
	@$(BIN)/python tools/build_site.py

docs-serve: docs ## build the site and show it at http://127.0.0.1:8000
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site 8000

pictures: docs ## make docs/pictures from runs of a new project; it needs Chromium
	@$(BIN)/python tools/make_pictures.py

test: .venv/.installed ## test every part of the template, with one orchestrator installed and run: about ten minutes
	@$(BIN)/python -m pytest $(PARALLEL)

test-engines: .venv/.installed ## test projects on each orchestrator and on all of them, and what is slow: make test-engines [ONLY=airflow]
	@$(BIN)/python -m pytest -m "deep or quick" $(PARALLEL) $(if $(ONLY),-k "$(ONLY)")

test-deploy: .venv/.installed ## test the files for images, networks, hosting, packages, Terraform and CI over all pairs of answers, and run image, stack and a machine in containers
	@$(BIN)/python -m pytest -m "deep or not deep" tests/test_places.py tests/test_packages.py tests/test_terraform.py tests/test_containers.py -n 0

test-site: .venv/.installed ## test the site, the decision page in Chromium, and the tutorials as they are typed
	@$(BIN)/python -m pytest -m "deep or not deep" tests/test_site.py tests/test_tutorials.py -n 0

test-fast: .venv/.installed ## run the tests that install no project
	@$(BIN)/python -m pytest -m "not project and not conformance and not deep" $(PARALLEL)

conformance: .venv/.installed ## test the behaviours in docs/conformance.md on running orchestrators: make conformance [ONLY=dagster]
	@$(BIN)/python -m pytest tests/conformance -m conformance $(ENGINES_AT_ONCE) $(if $(ONLY),-k "$(ONLY)")

conformance-quick: .venv/.installed ## the quickest of them on every orchestrator
	@$(BIN)/python -m pytest tests/conformance -m quick $(ENGINES_AT_ONCE)

conformance-page: .venv/.installed ## write the results of the last make conformance, and the table of letters, into docs/conformance.md
	@$(BIN)/python tests/conformance/results.py
	@$(BIN)/python tests/conformance/letters.py

lint: .venv/.installed ## check this repository's own code, the decision's data, and whether generated files are current
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python tools/check_decision.py
	@$(BIN)/python tools/write_decision_page.py --check
	@$(BIN)/python tools/write_integrations_page.py --check
	@$(BIN)/python tools/write_seeds.py --check
	@$(BIN)/python tools/write_standards_page.py --check
	@$(BIN)/python tools/write_run_costs.py --check
	@$(BIN)/python tests/conformance/letters.py --check

run-costs-page: .venv/.installed ## write what a run costs into the pages of the clouds' own orchestrators
	@$(BIN)/python tools/write_run_costs.py

standards-page: .venv/.installed ## measure the standards over tests/hooks/corpus and write docs/standards.md
	@$(BIN)/python tools/write_standards_page.py

decision-page: .venv/.installed ## write docs/decision.md and docs/integrations.md from decision/
	@$(BIN)/python tools/write_decision_page.py
	@$(BIN)/python tools/write_integrations_page.py

integrations: .venv/.installed ## ask the package index about the packages of decision/integrations.yml
	@$(BIN)/python tools/check_integrations.py
	@$(BIN)/python tools/write_integrations_page.py

seeds: .venv/.installed ## write template/*/seeds.yml, the files that an update leaves alone, from the manifests
	@$(BIN)/python tools/write_seeds.py

benchmarks: .venv/.installed ## print and write the ratios of docs/benchmarks.md
	@for name in copying decision business_functions definitions_import dependencies first_day standards fleet; do $(BIN)/python benchmarks/$$name.py || exit 1; done
	@$(BIN)/python benchmarks/report.py --page

constraints: .venv/.installed ## resolve the versions in template/*/constraints.txt again
	@$(BIN)/python tools/refresh_constraints.py

check-charts: .venv/.installed ## render a chart with the values of each hosting variant that takes it, and validate the manifests: make check-charts CHART=folder [HELM=program]
	@$(BIN)/python tools/check_charts.py $(CHART)

dashboards: .venv/.installed ## write Grafana's dashboards of the engines' own metrics from template/*/dashboard.yml
	@$(BIN)/uv run --quiet --script tools/write_dashboards.py

release: .venv/.installed ## check that VERSION=1.2.3 can be released, then commit its changelog and tag it here; DRY_RUN=1 only checks
	@$(BIN)/python tools/release.py '$(VERSION)' $(if $(DRY_RUN),--dry-run)

rendered-diff: .venv/.installed ## print what a change makes of the example projects' files: make rendered-diff [FROM=v0.1.0]
	@$(BIN)/python tools/rendered_diff.py $(FROM)

rendered-files: .venv/.installed ## write tools/site/example_files.txt, the list of their files
	@$(BIN)/python tools/rendered_diff.py --write

new: .venv/.installed ## ask at the terminal and make a project, with a way back and a summary: make new [DIR=myproj]
	@$(BIN)/python tools/new.py '$(or $(DIR),myproj)' $(DATA:%=--data '%') $(if $(TEMPLATE),--template '$(TEMPLATE)')
