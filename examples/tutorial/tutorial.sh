#!/bin/sh
# From nothing to a wiki in your own registry, in the words of Docker's tutorials. Run it as root on the host:
#
#     sh examples/tutorial/tutorial.sh
#
# It stops at the first thing that does not go as told. It takes what is there already (the base image, steps of builds
# that are cached), so the second run is quick; what it makes is called tutorial-..., and is gone afterwards.
set -eu
cd "$(dirname "$0")/.."

say() { printf '\n# %s\n' "$*"; }
try() { printf '$ paas %s\n' "$*"; paas "$@"; }

clean_up() {
    paas rm -f -v tutorial-box tutorial-wiki tutorial-copy tutorial-registry >/dev/null 2>&1 || true
    paas rmi -f tutorial-git tutorial-wiki tutorial-registry localhost:5999/wiki >/dev/null 2>&1 || true
    paas volume rm tutorial-images >/dev/null 2>&1 || true
}
trap clean_up EXIT
clean_up

say "1. An image to begin with. This one is made of Debian's packages; 'paas pull debian' would take it from Docker Hub."
try images:bootstrap debian:bookworm
try images

say "2. A shell in a container of its own: another system, in a fraction of a second, gone when it ends."
say "   At your own terminal, type:  paas run -it --rm debian:bookworm bash"
try run --rm debian:bookworm cat /etc/issue

say "3. A container stays when it has ended, with all it has written. Here the shell takes its commands from a pipe."
echo 'echo Hello from inside; echo mine >/srv/note; exit' | try run -i --name tutorial-box debian:bookworm bash
try ps -a --filter name=tutorial-
try restart tutorial-box
echo 'cat /srv/note; exit' | try attach tutorial-box

say "4. Install git in it, and see what that has changed."
try start tutorial-box
try exec tutorial-box sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends git >/dev/null 2>&1'
paas diff tutorial-box >/tmp/tutorial-diff.$$
echo "$(wc -l </tmp/tutorial-diff.$$) paths; git is among them:"
grep '^A /usr/bin/git$' /tmp/tutorial-diff.$$
rm /tmp/tutorial-diff.$$

say "5. Make an image of it. Images never change; containers of it begin with git."
try commit -m 'Install git' -c 'CMD ["git", "--version"]' tutorial-box tutorial-git
try stop -t 1 tutorial-box
try rm tutorial-box
try run --name tutorial-box tutorial-git

say "6. An image that a container has cannot be removed, though the container has ended: remove that first."
if paas rmi tutorial-git; then
    echo "that should have been refused" >&2
    exit 1
fi
try rm tutorial-box
try rmi tutorial-git

say "7. Build an image from a Dockerfile: a wiki, a layer for each step. The second time nothing is left to do."
try build -t tutorial-wiki wiki
try build -t tutorial-wiki wiki
try history tutorial-wiki

say "8. Run it, with port 9999 of this host leading to its port 80. Its pages are in a volume that the image asks for."
try run -d -p 9999:80 --name tutorial-wiki tutorial-wiki
try port tutorial-wiki
try ps --filter name=tutorial- --format 'table {{.Names}}\t{{.Status}}\t{{.Ports}}'
say "   In a browser: http://THIS-HOST:9999/"
curl --silent --show-error --fail --retry 30 --retry-delay 1 --retry-all-errors --location \
    http://127.0.0.1:9999/ | grep -o 'This page is yours'

say "9. A registry of your own, in a container too. Only this host reaches it; its images are in a volume with a name."
paas build --quiet -t tutorial-registry - <<'DOCKERFILE'
FROM debian:bookworm
RUN apt-get update && apt-get install -y --no-install-recommends docker-registry && rm -rf /var/lib/apt/lists/*
COPY <<CONFIG /etc/docker/registry/config.yml
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/docker-registry}}
http: {addr: ':5000'}
CONFIG
VOLUME /var/lib/docker-registry
EXPOSE 5000
CMD ["docker-registry", "serve", "/etc/docker/registry/config.yml"]
DOCKERFILE
try run -d -p 127.0.0.1:5999:5000 -v tutorial-images:/var/lib/docker-registry --name tutorial-registry tutorial-registry
curl --silent --show-error --fail --retry 30 --retry-delay 1 --retry-all-errors http://127.0.0.1:5999/v2/ >/dev/null

say "10. Push the wiki there, forget it here, and have it back, as another machine would."
try tag tutorial-wiki localhost:5999/wiki
try push localhost:5999/wiki
try search localhost:5999/wik
try rm -f -v tutorial-wiki
try rmi tutorial-wiki localhost:5999/wiki
try pull localhost:5999/wiki
try run -d -p 9999:80 --name tutorial-copy localhost:5999/wiki
curl --silent --show-error --fail --retry 30 --retry-delay 1 --retry-all-errors --location \
    http://127.0.0.1:9999/ | grep -o 'This page is yours'

say "That is all: images, containers, a build, a registry. Next: git push an app; see examples/hello."
