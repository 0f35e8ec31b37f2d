#!/bin/bash
# gpu_check.sh [--prebuilt DIR] [--only STAGE] [--quick]: everything that this project claims of a GPU, on this machine's
# first one, in under 9 minutes and offline. Tests, compute-sanitizer, kernels against cuDNN, networks against
# PyTorch; then a JSON file and a Markdown table in bench/results (or in $OUT), and the table on stdout.
#
#   --prebuilt DIR   a folder made by gpu_pack.sh; without it, builds for this GPU (needs nvcc and scripts/install)
#   --only STAGE     tests, models, process, variants, autoencoders, kernels, peers or sanitizer; again for more
#   --quick          fewer shapes, sizes and rounds: about 2 minutes
#   GPU_CHECK_BUDGET seconds for everything (500); GPU_CHECK_COMMIT what to note as the commit
#
# Stages run in the order of what is most worth knowing, each under a limit; what is done is written at once. All of
# them may take longer than the budget: the last ones are then noted as not run, and --only gets them.
# Each file of tests has a process of its own: after an illegal access or a hang the others still count.
# Exit status: 0, 1 if a test failed or a stage broke, 77 without a GPU.
set -u -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
began=$SECONDS
budget=${GPU_CHECK_BUDGET:-500}
prebuilt='' only='' quick=''
while [ $# -gt 0 ]; do
  case $1 in
    --prebuilt) prebuilt=$(cd "${2:?--prebuilt needs a folder}" && pwd) || exit 1; shift 2 ;;
    --only)
      case ${2:-} in
        tests | models | process | variants | autoencoders | kernels | peers | sanitizer) only="$only $2" ;;
        *) echo "gpu_check: --only: got ${2:-nothing}, expected tests, models, process, variants, autoencoders, kernels, peers or sanitizer" >&2; exit 1 ;;
      esac
      shift 2 ;;
    --quick) quick=--quick; shift ;;
    -h | --help) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 1 ;;
  esac
done

# --- The GPU ---------------------------------------------------------------------------------------------------
query() { nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null | head -n 1; }
gpu='' driver='' sm=''
if command -v nvidia-smi >/dev/null; then
  gpu=$(query name) driver=$(query driver_version) sm=$(query compute_cap | tr -d .)
  case $gpu in *[Ff]ailed* | *[Nn]o\ devices*) gpu='' ;; esac
fi
if [ -z "$gpu" ] && [ -z "$prebuilt" ]; then
  echo "gpu_check: skipped: nvidia-smi finds no GPU"
  exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# --- The programs ----------------------------------------------------------------------------------------------
if [ -n "$prebuilt" ]; then
  bin=$prebuilt/bin
  export LD_LIBRARY_PATH=$prebuilt/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} UPS_GOLDEN=$prebuilt/golden
  [ -d "$prebuilt/models" ] && export UPSCALE_MODELS=${UPSCALE_MODELS:-$prebuilt/models}
  [ -f "$prebuilt/commit" ] && GPU_CHECK_COMMIT=${GPU_CHECK_COMMIT:-$(cat "$prebuilt/commit")}
else
  root=$(cd "$here/.." && pwd)
  bin=$root/build/gpu
  archs="-DUPS_CUDA_ARCHS=$sm"
  [ "$sm" = 90 ] && archs="$archs -DUPS_CUDA_ARCHS_SM90=90a-real"
  echo "gpu_check: building for sm_$sm ..."
  # shellcheck disable=SC2086  # words
  configure() { cmake -S "$root" -B "$bin" -DCMAKE_BUILD_TYPE=Release -DUPS_CUDA=ON -DUPS_VENDOR="$1" $archs; }
  # shellcheck disable=SC2086  # words
  if ! { { configure ON || { echo "gpu_check: without cuDNN, see $bin"; configure OFF; }; } &&
         cmake --build "$bin" -j "$(nproc)" --target upscale test_gpu bench_gpu; } >"$work/build" 2>&1; then
    tail -n 40 "$work/build"
    echo "gpu_check: the build failed (gpu_pack.sh makes a folder elsewhere that needs no packages here)" >&2
    exit 1
  fi
fi
failed=0
if timeout -k 5 60 "$bin/bench_gpu" --kernel conv2d --shape 16x16@16 --no-vendor --seconds 0.01 >"$work/first" 2>&1; then
  gpu=${gpu:-$(head -n 1 "$work/first" | cut -d, -f1)}
  sm=${sm:-$(sed -n '1s/.*, sm_\([0-9]*\),.*/\1/p' "$work/first")}
else
  status=$?
  tail -n 3 "$work/first"
  [ "$status" -eq 77 ] && { echo "gpu_check: skipped: no GPU"; exit 77; }
  echo "gpu_check: bench_gpu failed with status $status" >&2
  failed=1
fi

# --- What is noted of the run -------------------------------------------------------------------------------------
commit=${GPU_CHECK_COMMIT:-$(git -C "$here" rev-parse --short=12 HEAD 2>/dev/null)}
cuda=$(nvcc --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/\1/p')
date=$(date -u +%Y-%m-%d)
name=$(printf %s "${gpu:-unknown}" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9-' | sed 's/^nvidia-//')
out=${OUT:-$here/results}
mkdir -p "$out"
stem=$out/gpu-$name-$date lines=$work/lines
n=1
while [ -e "$stem.log" ]; do n=$((n + 1)) stem=$out/gpu-$name-$date-$n; done  # earlier runs of the day stay
log=$stem.log
: >"$lines"
: >"$log"
escape() { printf %s "$1" | tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g'; }
printf '{"kind": "run", "gpu": "%s", "driver": "%s", "cuda": "%s", "commit": "%s", "date": "%s"}\n' \
  "$(escape "$gpu")" "$(escape "$driver")" "$cuda" "$(escape "${commit:-unknown}")" "$(date -u +%Y-%m-%dT%H:%MZ)" >>"$lines"

python=$(command -v python3)
report() { { [ -n "$python" ] && "$python" -B "$here/peers/gpu_report.py" "$lines" "$stem"; } || cp "$lines" "$stem.jsonl"; }
wanted() { [ -z "$only" ] || case "$only " in *" $1 "*) true ;; *) false ;; esac; }

# stage NAME LIMIT COMMAND...: runs the command under the limit or what is left of the budget, and notes how it ended.
stage() {
  local stage=$1 limit=$2 status start=$SECONDS left outcome summary
  shift 2
  left=$((budget - (SECONDS - began)))
  [ "$limit" -gt "$left" ] && limit=$left
  if [ "$limit" -lt 5 ]; then
    printf '{"kind": "stage", "stage": "%s", "outcome": "not run: no time left", "seconds": 0}\n' "$stage" >>"$lines"
    return
  fi
  echo "=== $stage (at most $limit s)" | tee -a "$log"
  timeout -k 5 "$limit" "$@" >"$work/out" 2>&1
  status=$?
  cat "$work/out" >>"$log"
  case $status in
    0) outcome=passed ;;
    77) outcome=skipped ;;
    124 | 137)
      outcome="cut off after $limit s"
      case $stage in tests*) failed=1 ;; esac ;;  # a test hangs
    *) outcome="failed ($status)"; failed=1 ;;
  esac
  summary=$(grep -E '^failed \(|ERROR SUMMARY|RACECHECK SUMMARY|skipped:' "$work/out" | tail -n 4 | tr '\n' ' ')
  if grep -qE '^All tests passed|^test cases:' "$work/out"; then  # of several processes
    summary="$summary$(sed -n 's/^All tests passed (.* in \([0-9]*\) test cases*)$/\1 0/p; s/^test cases: .*/&/p' "$work/out" |
      awk '/^test cases/ { for (i = 1; i < NF; i++) { if ($(i + 1) == "passed") p += $i; if ($(i + 1) == "failed") f += $i } next }
           { p += $1 } END { printf "%d test cases passed, %d failed", p, f }')"
  fi
  # What failed is worth more of the terminal than what passed.
  if [ "$status" -ne 0 ]; then tail -n 30 "$work/out"; else tail -n 12 "$work/out"; fi
  printf '{"kind": "stage", "stage": "%s", "outcome": "%s", "seconds": %d, "summary": "%s"}\n' "$stage" "$outcome" \
    $((SECONDS - start)) "$(escape "$summary")" >>"$lines"
  report >/dev/null
}

# cuDNN and cuBLAS: what is installed, or what PyTorch brought along (found without importing it).
vendor=''
[ -n "$python" ] && vendor=$("$python" -c '
import importlib.util, pathlib
spec = importlib.util.find_spec("torch")
site = pathlib.Path(spec.origin).parent.parent if spec else pathlib.Path("/nowhere")
print(":".join(sorted(str(p) for p in (site / "nvidia").glob("*/lib"))))' 2>/dev/null)
with_vendor() { UPS_VENDOR_PATH=$vendor LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}${vendor:+:$vendor} "$@"; }
export -f with_vendor
export vendor

# test_files FILTER LIMIT: the tests that FILTER chooses, one process per file of tests, each under the limit.
# --foreground: what stops the stage stops a test that hangs, too, instead of leaving it to disturb the next stage.
test_files() {
  local file files status worst=0
  files=$("$bin/test_gpu" -# --list-tags "$1" | sed -n 's/.*\(\[#[A-Za-z0-9_.-]*\]\).*/\1/p')
  [ -n "$files" ] || { echo "failed (no tests): $1"; return 1; }
  for file in $files; do
    timeout --foreground -k 5 "$2" "$bin/test_gpu" -# "$1$file"
    status=$?
    [ "$status" -eq 77 ] && return 77
    [ "$status" -eq 0 ] || { echo "failed ($status): $1$file"; worst=1; }
  done
  return "$worst"
}
# whole_by VARIANT MODEL...: whole networks with kernels other than the default, a process each.
whole_by() {
  local variant=$1 model worst=0
  shift
  for model in "$@"; do
    UPSCALE_VARIANT=conv2d~$variant with_vendor "$bin/bench_gpu" --only models --models "$models" --model "$model" \
      --size 512x512 --json "$lines" || worst=1
  done
  return "$worst"
}
export -f test_files whole_by
export bin lines

peer() { # MODE LIMIT ARGUMENT...: PyTorch's lines go to the record as they come
  local mode=$1 limit=$2
  shift 2
  # shellcheck disable=SC2016  # expanded by the inner shell
  stage "PyTorch $mode $*" "$limit" env -u LD_LIBRARY_PATH LINES_FILE="$lines" bash -c \
    'set -o pipefail; "$@" | tee -a "$LINES_FILE"' - "$python" -B "$here/peers/gpu_models.py" "$mode" "$models" "$@"
}
sanitize() { # TOOL LIMIT
  stage "compute-sanitizer $1" "$2" env UPS_TEST_GUARD=0 UPS_SEED=1 "$sanitizer" --tool "$1" --error-exitcode 9 --print-limit 20 \
    "$bin/test_gpu" "[small]"
}

export models=$work/models
if wanted models || wanted process || wanted variants || wanted peers || wanted autoencoders; then
  stage "writing networks" 60 "$bin/bench_gpu" --prepare "$models"
fi
sizes=512x512,256x256,1280x720
[ -n "$quick" ] && sizes=512x512
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2>/dev/null | tail -n 1)
has_torch=''
[ -n "$python" ] && "$python" -c 'import importlib.util as u, sys; sys.exit(not (u.find_spec("torch") and u.find_spec("safetensors")))' && has_torch=yes

# --- Stages, what is most worth knowing first -----------------------------------------------------------------------
compiled() { # LIMIT MODEL
  [ -n "$has_torch" ] && [ -z "$quick" ] && peer compile "$1" --sizes 512x512 --model "$2"
}
if wanted tests; then
  stage "tests, small" 70 bash -c 'test_files "[small]" 30'
  [ -z "$quick" ] && stage "tests, others" 90 bash -c 'test_files "~[small]" 60'
fi
# shellcheck disable=SC2086  # --quick or nothing
if wanted models; then stage networks 80 "$bin/bench_gpu" --only models --models "$models" --json "$lines" $quick; fi
# shellcheck disable=SC2086
if wanted process; then stage processes 45 "$bin/bench_gpu" --only process --models "$models" --json "$lines" $quick; fi
if wanted variants && [ "$sm" = 90 ]; then
  for variant in wgmma-stream wgmma-phases wgmma-narrow; do
    stage "x4 by $variant" 20 bash -c 'whole_by "$1" x4' - "$variant"
  done
fi
if wanted peers; then
  if [ -n "$has_torch" ]; then
    peer eager 60 --sizes "$sizes"
  else
    echo "PyTorch is not measured: python3 with torch and safetensors is needed"
  fi
  compiled 50 video
  compiled 130 x4
fi
# shellcheck disable=SC2086
if wanted kernels; then stage "layers of transformers" 40 "$bin/bench_gpu" --kernel sublayers --json "$lines" $quick; fi
# shellcheck disable=SC2086
if wanted autoencoders; then
  stage autoencoders 60 "$bin/bench_gpu" --only autoencoders --models "$models" --json "$lines" $quick
  if [ -n "$has_torch" ]; then peer autoencoder 40 --sizes "$([ -n "$quick" ] && echo 1024x1024 || echo 1024x1024,512x512,2048x2048)"; fi
fi
# shellcheck disable=SC2086
if wanted kernels; then
  stage convolutions 90 bash -c 'with_vendor "$@"' - "$bin/bench_gpu" --kernel conv2d --seconds 0.1 --json "$lines" $quick
fi
if wanted variants; then
  # Says why, and counts as skipped, where there is no cuDNN.
  # shellcheck disable=SC2016  # expanded by the inner shell
  stage "networks by cuDNN" 50 bash -c 'with_vendor "$bin/bench_gpu" --has-vendor && whole_by cudnn x4 anime video general'
fi
if wanted peers && [ -n "$has_torch" ]; then
  peer transformers 60 --sizes 512x512
  [ -z "$quick" ] && peer convs 40
fi
if wanted sanitizer; then
  if [ -n "$sanitizer" ]; then
    sanitize memcheck 60
    sanitize racecheck 45
    sanitize synccheck 30
  else
    echo "compute-sanitizer is not installed"
  fi
fi
if wanted peers; then
  compiled 50 anime
  compiled 50 general
fi

echo
report
echo "gpu_check: $((SECONDS - began)) s; written to $stem.json and .md"
exit "$failed"
