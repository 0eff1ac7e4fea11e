#!/bin/sh
# Update the project from its template and push the result as the branch `template-update`; for scheduled CI jobs.
# With conflicts it ends in an error before anything is committed: what is proposed can always be merged as it is.
# Arguments go to `git push`. Prints "proposed <version>", or "nothing new".
set -eu
branch=template-update

make update
git add --all
if git diff --cached --quiet; then
  echo "nothing new"
  exit 0
fi
if marked=$(git grep --cached --line-number -E '^(<<<<<<<|>>>>>>>) ' -- .); then
  echo "error: the update left conflict markers; run make update on your machine and resolve them:" >&2
  echo "$marked" >&2
  exit 1
fi
version=$(sed -n 's/^_commit: *//p' .copier-answers.yml)
git -c user.name="template update" -c user.email="template-update@localhost" \
  commit --quiet --message "Update from the template, $version"
git push --quiet --force "$@" origin "HEAD:refs/heads/$branch"
echo "proposed $version"
