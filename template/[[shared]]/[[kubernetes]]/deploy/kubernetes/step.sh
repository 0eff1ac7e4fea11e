#!/bin/sh
# Run one step of a pipeline in a pod of its own and wait for its end: `runner` under [model] in the pipeline's configuration
# names this script. The pod's lines come back as they are written, and this exits as the step did. kubectl must be in PATH, with
# the rights of step_role.yml; IMAGE is the project's image with its digest, and CONTEXT and NAMESPACE say where, as in deploy.sh.
# Called as: step.sh PIPELINE STEP --partition KEY --item ITEM --run-id ID --attempt N --engine NAME --here
set -eu
folder=$(dirname "$0")
kubectl="kubectl${CONTEXT:+ --context $CONTEXT}${NAMESPACE:+ --namespace $NAMESPACE}"
transient=75

fail() { # the last line of what this prints is the reason
	echo "error: $*" >&2
	exit "${code:-78}"
}

command -v kubectl >/dev/null || fail "kubectl is not installed where this step runs: add it to the image"
[ -n "${IMAGE:-}" ] || fail "set IMAGE to the image of the project, such as registry.example.com/name@sha256:..."
# One name for each attempt of a step of a run, so that nothing runs twice: of all words, each with its end.
name=step-$(printf '%s\0' "$@" | sha256sum | cut -c 1-20)

# step.yml with these values. Items come from data, so each word is quoted as JSON, which is YAML too, and a dollar is doubled where
# Kubernetes would put a variable in its place.
FILL='
import json, re, sys
file, name, image, environment, seconds, *words = sys.argv[1:]
options = dict(zip(words[2::2], words[3::2]))
values = {"NAME": name, "IMAGE": image, "ENV": environment, "PIPELINE": words[0], "STEP": words[1], "ITEM": options["--item"]}
quoted = json.JSONEncoder(ensure_ascii=False).encode
text = {key: quoted(value) for key, value in values.items()}
text |= {"WORDS": ", ".join(quoted(word.replace("$", "$$")) for word in words), "SECONDS": str(int(seconds))}
print(re.sub("\"@([A-Z]+)@\"", lambda match: text[match[1]], open(file, encoding="utf-8").read()))
'
job=$(python3 -X utf8 -c "$FILL" "$folder/step.yml" "$name" "$IMAGE" "${APP_ENV:-dev}" "${STEP_SECONDS:-3600}" "$@") ||
	fail "step.yml cannot be filled in, see above"

remove() { $kubectl delete job "$name" --ignore-not-found --wait=false >/dev/null 2>&1 || true; }
trap 'remove; exit 143' TERM INT HUP # the orchestrator ends the step: the pod goes too

printf '%s\n' "$job" |
	$kubectl apply --filename - >&2 || { code=$transient fail "the cluster did not take the job $name, see above"; }

pod="--selector=job-name=$name"
until [ -n "$($kubectl get pods "$pod" --output 'jsonpath={.items[*].status.containerStatuses[*].state.running.startedAt}{.items[*].status.containerStatuses[*].state.terminated.finishedAt}')" ]; do
	sleep 2 &
	wait $! # a signal ends it at once
	if [ -n "$($kubectl get job "$name" --output 'jsonpath={.status.conditions[?(@.type=="Failed")].reason}')" ]; then
		code=$transient
		reason=$($kubectl get job "$name" --output 'jsonpath={.status.conditions[?(@.type=="Failed")].message}')
		remove
		fail "the pod of $name did not start: $reason"
	fi
done
$kubectl logs "$pod" --follow --tail=-1 &
wait $! || true
ended=
for _ in 1 2 3 4 5 6 7 8 9 10; do # the state follows the last line
	ended=$($kubectl get pods "$pod" --output 'jsonpath={.items[0].status.containerStatuses[0].state.terminated.exitCode}')
	[ -z "$ended" ] || break
	sleep 2
done
remove
exit "${ended:-$transient}" # without one, the pod is gone: another attempt may help
