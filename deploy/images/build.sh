#!/bin/sh
# Builds the images, one after the other, and says how large they are:  deploy/images/build.sh VERSION [NAME ...]
#   DOCKER        the engine's command (docker)
#   BASES         build arguments for other base images: --build-arg PYTHON_IMAGE=... --build-arg DEBIAN_IMAGE=...
#   AGENT_EXTRAS  optional dependencies of ai-agent: espeak
#   RUNTIME_EXTRAS  optional dependencies of all five services: otel, for traces
set -eu
cd "$(dirname "$0")/../.."
docker=${DOCKER:-docker}
traces="--build-arg RUNTIME_EXTRAS=${RUNTIME_EXTRAS:-}"
version=$1
shift
[ $# -gt 0 ] || set -- webhooks stream-ingress ai-agent tool-runner dashboard migrations router testbed tool-opening-hours

for name in "$@"; do
  began=$(date +%s)
  case $name in
    migrations | router | testbed) file="-f deploy/images/$name.Dockerfile" ;;
    tool-opening-hours) file="-f deploy/images/tool.Dockerfile --build-arg TOOL=opening_hours" ;;
    ai-agent) file="--build-arg SERVICE=$name --build-arg EXTRAS=${AGENT_EXTRAS:-} $traces" ;;
    *) file="--build-arg SERVICE=$name $traces" ;;
  esac
  # shellcheck disable=SC2086 -- words are meant
  $docker build -q ${BASES:-} $file -t "trunkline/$name:$version" . > /dev/null
  size=$($docker image inspect -f '{{.Size}}' "trunkline/$name:$version")
  printf '%-34s %5d MB  %4d s\n' "trunkline/$name:$version" $((size / 1000000)) $(($(date +%s) - began))
done
