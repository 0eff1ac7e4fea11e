#!/bin/sh
# Update the project from its template and push the result as the branch `template-update`; for scheduled CI jobs.
# The work happens in a work tree of its own: the branch that is checked out, and files not committed, stay as they are.
# With conflicts it ends in an error before anything is committed: what is proposed can always be merged as it is.
# Of a project in a folder of a larger repository, the branch has the folder's name: `template-update-<folder>`.
# Arguments go to `git push`. Prints "proposed <version>", or "nothing new".
set -eu
# The project's own uv, where there is one; the other work tree has none.
uv=$(command -v uv || echo "$PWD/.uv/bin/uv")
[ -x "$uv" ] || uv=
project=$(git rev-parse --show-prefix)
branch=template-update$(printf %s "${project:+-${project%/}}" | tr / -)
here=$PWD
scratch=$(mktemp -d)
trap 'cd "$here"; git worktree remove --force "$scratch/tree" 2>/dev/null || true; rm -rf "$scratch"; git worktree prune' EXIT
trap 'exit 130' INT TERM
git -c core.hooksPath=/dev/null worktree add --quiet --detach "$scratch/tree" HEAD
cd "$scratch/tree/$project"

make --no-print-directory update ${uv:+UV="$uv"}
git add --all -- .
if git diff --cached --quiet; then
  echo "nothing new"
  exit 0
fi
if marked=$(git -c core.quotePath=false grep --cached --line-number -E '^(<<<<<<<|>>>>>>>) ' -- .); then
  echo "error: the update left conflict markers; run make update on your machine and resolve them:" >&2
  echo "$marked" >&2
  exit 1
fi
version=$(sed -n 's/^_commit: *//p' .copier-answers.yml)
# The checks of the proposed branch tell whether it is good; hooks of this machine do not.
git -c user.name="template update" -c user.email="template-update@localhost" -c core.hooksPath=/dev/null \
  commit --quiet --message "Update from the template, $version"
git push --quiet --force "$@" origin "HEAD:refs/heads/$branch"
echo "proposed $version"
