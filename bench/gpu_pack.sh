#!/bin/bash
# gpu_pack.sh FOLDER: builds upscale, test_gpu and bench_gpu here and puts them into FOLDER with all that gpu_check.sh
# needs, to be copied to a machine with a GPU that has none of the packages and no network. There:
#   FOLDER/gpu_check.sh --prebuilt FOLDER      or      FOLDER/run upscale in.png out.png
# GPU_PACK_ARCHS names the architectures ("80-real;90-real"); $UPSCALE_MODELS, if set, the weights to take along.
set -eu -o pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:?usage: gpu_pack.sh FOLDER}
build=${GPU_PACK_BUILD:-$root/build/gpu_pack}

launchers=()
command -v ccache >/dev/null && launchers=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache)
generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
cmake -S "$root" -B "$build" "${generator[@]}" "${launchers[@]}" -DCMAKE_BUILD_TYPE=Release -DUPS_CUDA=ON -DUPS_VENDOR=ON \
  -DUPS_CUDA_ARCHS="${GPU_PACK_ARCHS:-80-real;90-real}" -DUPS_CUDA_ARCHS_SM90="${GPU_PACK_ARCHS_SM90-90a-real}" >/dev/null
cmake --build "$build" -j "$(nproc)" --target upscale test_gpu bench_gpu

rm -rf "$out"
mkdir -p "$out/bin" "$out/lib" "$out/golden" "$out/peers"
for program in upscale test_gpu bench_gpu; do
  strip -o "$out/bin/$program" "$build/$program"
  # The loader, glibc and the compiler's libraries are those of the other machine, which must not be older.
  ldd "$build/$program" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' |
    grep -vE '/(lib(c|m|dl|rt|pthread|resolv|stdc\+\+|gcc_s)\.so|ld-linux)' | xargs -r -I{} cp -Lu {} "$out/lib/"
done
cp -r "$root/tests/golden/." "$out/golden/"
cp "$root/bench/gpu_check.sh" "$out/"
for script in nets swin_nets vae_net gpu_models gpu_report; do cp "$root/bench/peers/$script.py" "$out/peers/"; done
if [ -n "${UPSCALE_MODELS:-}" ]; then
  mkdir -p "$out/models"
  for name in x4 anime video general; do
    for ending in safetensors pth; do
      if [ -f "$UPSCALE_MODELS/$name.$ending" ]; then cp "$UPSCALE_MODELS/$name.$ending" "$out/models/"; fi
    done
  done
fi
cat >"$out/run" <<'END'
#!/bin/sh
# run PROGRAM [ARGUMENT...]: a program of bin/ with the libraries of lib/.
here=$(cd "$(dirname "$0")" && pwd)
program=$1
shift
LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} UPS_GOLDEN=$here/golden exec "$here/bin/$program" "$@"
END
chmod +x "$out/run"
changed=$(git -C "$root" status --porcelain --untracked-files=no 2>/dev/null | head -n 1)
commit=$(git -C "$root" rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
echo "${GPU_CHECK_COMMIT:-$commit${changed:+ with local changes}}" >"$out/commit"
du -sh "$out" | sed 's/\t/ in /'
