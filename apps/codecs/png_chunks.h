// Metadata of PNG files: the ancillary chunks that are understood or passed through (PNG 3rd edition, 11.3).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apps/codecs/metadata.h"

namespace ups::apps {

// Chunks with a wrong CRC or a damaged profile are left out. Never fails.
Metadata png_metadata(std::string_view file);

// Whether every chunk up to IEND lies within the file.
bool png_chunks_fit(std::string_view file);

// The chunks to write behind IHDR, in a permitted order.
std::vector<Metadata::Chunk> png_chunks_of(const Metadata& metadata);

// A text as a chunk: iTXt where it is UTF-8 beyond ASCII, else tEXt with its bytes as they are.
Metadata::Chunk text_chunk(const std::string& key, const std::string& value);

// The texts with this keyword, whatever chunk holds them; what inflates to more than 64 MiB in all is "".
std::vector<std::string> texts_of(const Metadata& metadata, std::string_view key);

}  // namespace ups::apps
