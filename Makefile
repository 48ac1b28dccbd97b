# oneserver's control panel: `make` alone prints this list. The logic lives in compose.yaml and in ctl/.
.DEFAULT_GOAL := help
.PHONY: help up down reset logs ps doctor trace trust sql bench abuse cluster cluster-status cluster-recover cluster-down drill-spof drill-maintenance drill-upkeep drill-scale drills deploy releases rollback reload restart-db backup restore test test-all test-release lint images bundle load dist tool from-bundle go

override tool := bin/oneserver
override hint := echo 'make doctor says what is wrong, and what to do about it' >&2; exit 1
override modules := services/dns services/certs services/app ctl ctl/e2e/authority ctl/e2e/example
# pinned here rather than in go.mod, so that a linter's dependencies never reach an application
override staticcheck := honnef.co/go/tools/cmd/staticcheck@v0.8.2
override actionlint := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

# These keep the builds here independent of a go.work above this folder, of flags meant for other builds, and of git, which
# refuses to work in a folder that belongs to another user.
export override GOWORK := off
export override GOFLAGS := -mod=readonly -buildvcs=false
unexport CDPATH GOOS GOARCH GO111MODULE
.NOTPARALLEL:

# Variables given on the command line (URL=…, FILE=…, DOMAIN=…) are treated as plain text: make does not expand them, since
# that would run a $(shell …) in them, and recipes read them from the environment, so no shell runs a `…` in them.
$(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(eval override $(name) := $$(value $(name)))$(eval export $(name))))

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

up: tool ## check, make what is missing, start everything, wait until it is healthy
	@$(tool) up

down: ## stop and remove the containers; the data stays
	@docker compose down || { $(hint); }

reset: tool ## remove everything, the data too (asks first)
	@$(tool) reset

logs: ## follow the logs of all services
	@docker compose logs --follow --tail 100 || { $(hint); }

ps: ## show the services and their health
	@docker compose ps --all || { $(hint); }

doctor: tool ## say what would keep the stack from starting, and what to do about it
	@$(tool) doctor

trace: tool ## follow one request through every part: make trace URL=http://www.foobar.com/
	@$(tool) trace $${URL:+-- "$$URL"}

trust: tool ## say how to make this machine trust the stack's own authority for https, or how to undo that: make trust REMOVE=1
	@$(tool) trust $${REMOVE:+--remove}

sql: ## open a prompt in the database, as the application's account or as root: make sql ROOT=1
	@set -- app --host=127.0.0.1; [ -z "$$ROOT" ] || set -- root; \
	  docker compose exec db sh -c 'export MYSQL_PWD="$$(cat "/run/secrets/mysql_$$1_password")"; exec mysql --user="$$@" foobar' sql "$$@" || { $(hint); }

bench: tool ## measure the speed of the site and compare it with others, on a copy of the stack: make bench ROWS=10000000
	@$(tool) bench $${ROWS:+--rows="$$ROWS"}

abuse: tool ## play hostile visitors, on a copy of the stack, and measure what others notice; 45 minutes
	@$(tool) abuse

cluster: tool ## start the stack on three servers in containers, or on real ones over ssh: make cluster HOSTS="root@one root@two root@three"
	@$(tool) cluster $${HOSTS:+-- "$$HOSTS"}

cluster-status: tool ## show the three servers: services, members of the group, certificates, releases
	@$(tool) cluster-status

cluster-recover: tool ## form the group of databases again after all were lost: make cluster-recover WITHOUT=c
	@$(tool) cluster-recover $${WITHOUT:+--without="$$WITHOUT"}

cluster-down: tool ## remove the three servers; the data after asking
	@$(tool) cluster-down

drill-spof: tool ## kill and freeze each part in turn, and measure what visitors notice
	@$(tool) drill spof

drill-maintenance: tool ## a release, a changed setting, a migration ...: measure what each costs visitors
	@$(tool) drill maintenance

drill-upkeep: tool ## the same, done with make deploy, rollback, reload and restart-db
	@$(tool) drill upkeep

drill-scale: tool ## send more and more requests, until the site no longer keeps up
	@$(tool) drill scale

drills: tool ## run all drills, in one report
	@$(tool) drill all

deploy: tool ## build app and replace the running release, without downtime: make deploy REPLICAS=2
	@$(tool) deploy $${REPLICAS:+--replicas="$$REPLICAS"}

releases: tool ## list the releases that a rollback can go to
	@$(tool) releases

rollback: tool ## go back to the previous release: make rollback TO=1a2b3c4d names another
	@$(tool) rollback $${TO:+-- "$$TO"}

reload: tool ## check nginx.conf, corefile, zone and static files, and put them into service
	@$(tool) reload

restart-db: tool ## try the settings of MySQL, restart it while requests wait, go back if it does not start: make restart-db FORCE=1
	@$(tool) restart-db $${FORCE:+--force}

backup: tool ## copy the data into a folder in backups/, while the site runs: make backup KEEP=7 KEY=FILE
	@$(tool) backup $${KEEP:+--keep="$$KEEP"} $${KEY:+--key="$$KEY"}

restore: tool ## put the data back (asks first): make restore FILE=backups/… KEY=FILE, or TO="2026-11-23 10:00:00" in UTC
	@$(tool) restore $${TO:+--to="$$TO"} $${KEY:+--key="$$KEY"} $${UNSIGNED:+--unsigned} $${FILE:+-- "$$FILE"}

test: go tool ## unit tests, then integration tests against a second copy of the stack
	@$(tool) images --keep
	@for module in $(modules); do go -C $$module test -short ./... || exit; done
	@echo 'integration tests, about seven minutes ...'
	@go -C ctl/e2e test -count=1 -timeout 40m -skip '^TestLong'

# Long tests that do not fit into the hour that test-all may take on a slow machine.
override apart := ^TestLong(FiveReleasesStay|ThreeServersAreReached|AKilledRestore|ALargeRestore|ARestoreGoesBack|HalfHeaders|AMySQLThatDoesNotStart|AKilledDeploy|ASecondNetwork|TheFirstRequest|ASearchIsRight|ACertificateIsRenewed|ACertificateEnds|AnAuthorityThat|CertsIsKilled)

test-all: go tool ## tests too long for make test, within an hour: attacks, interrupted work, every page of docs/
	@$(tool) images --keep
	@go -C ctl/e2e test -count=1 -timeout 60m -v -run '^TestLong' -skip '$(apart)'

test-release: go tool ## the rest of the long tests, half an hour more, for before a release: a kill at every step, large data
	@$(tool) images --keep
	@go -C ctl/e2e test -count=1 -timeout 60m -v -run '$(apart)'

lint: go tool ## gofmt, vet, staticcheck, shellcheck, actionlint, and each program's own check of its files
	@command -v shellcheck >/dev/null || { echo "make lint needs shellcheck: apt-get install shellcheck, or https://www.shellcheck.net" >&2; exit 1; }
	@unformatted=$$(gofmt -l $(modules)); [ -z "$$unformatted" ] || { echo "gofmt -w $$unformatted"; exit 1; }
	@for module in $(modules); do (cd $$module && go vet ./... && go run $(staticcheck) ./...) || exit; done
	@shellcheck .ci/run $$(git ls-files '*.sh')
	@go run $(actionlint) .github/workflows/*.yml
	@$(tool) images --keep
	@docker compose config --quiet
	@export COMPOSE_PROJECT_NAME=oneserver-lint SUBNET=172.28.2; trap 'docker compose --progress quiet down' EXIT; \
	  docker compose --progress quiet run --rm --no-deps dns check && \
	  docker compose --progress quiet run --rm --no-deps web nginx -t -c /run/nginx/nginx.conf

images: tool ## pull or build every image, replacing stand-ins with official ones; without a registry, build stand-ins from Debian packages
	@$(tool) images

bundle: tool ## write all images, and this tool, into one archive, for machines without a network
	@$(tool) bundle

load: from-bundle tool ## read an archive that make bundle wrote: make load FILE=oneserver-images-….tar.gz
	@$(tool) load $${FILE:+-- "$$FILE"}

dist: go ## build the tool for Linux, macOS and Windows into dist/, with checksums
	@rm -rf dist
	@for system in linux darwin windows; do for arch in amd64 arm64; do \
	  [ $$system = windows ] && suffix=.exe || suffix=; \
	  CGO_ENABLED=0 GOOS=$$system GOARCH=$$arch go build -C ctl -trimpath -ldflags='-s -w' -o ../dist/oneserver-$$system-$$arch$$suffix . || exit; \
	done; done
	@cd dist && if command -v sha256sum >/dev/null; then sha256sum oneserver-*; else shasum -a 256 oneserver-*; fi >SHA256SUMS

# Builds the tool from these sources. Without Go, as on a server, Docker builds the tool in the image that builds the
# application.
tool:
	@if command -v go >/dev/null; then CGO_ENABLED=0 go build -C ctl -o ../$(tool) .; \
	elif [ ! -x $(tool) ] || [ -n "$$(find ctl -newer $(tool))" ]; then \
	  echo 'building $(tool) ...'; mkdir -p bin; \
	  DOCKER_BUILDKIT=1 BUILDX_BUILDER="$${BUILDX_BUILDER:-$$(docker context inspect --format '{{.Name}}')}" \
	    docker build --build-arg GOPROXY --build-arg SYSTEM="$$(uname -s)" --build-arg MACHINE="$$(uname -m)" --output bin ctl \
	    && touch $(tool) || { echo "There is no Go here, and Docker could not build $(tool): see above. Install Go 1.26 or newer (https://go.dev/dl), or take it" \
	      "from a bundle: make load FILE=… . To start the stack without it: docker compose up" >&2; exit 1; }; \
	fi

# Without Go, the tool that reads a bundle comes from the bundle itself.
from-bundle:
	@command -v go >/dev/null || { set -- oneserver-images-*.tar.gz; mkdir -p bin && tar -xzmf "$${FILE:-$$1}" -C bin "oneserver-$$(uname -s)" && mv "bin/oneserver-$$(uname -s)" $(tool); }

go:
	@command -v go >/dev/null || { echo "This needs Go 1.26 or newer: https://go.dev/dl" >&2; exit 1; }
