// Which pictures of two folders belong together.
#pragma once

#include <string>
#include <vector>

namespace ups::apps {

struct FolderPair {
  std::string picture, reference;  // paths; picture is empty where the folder has none
};

struct FolderPairs {
  std::vector<FolderPair> pairs;      // one for each picture of the reference folder, sorted
  std::vector<std::string> unpaired;  // pictures of the other folder that belong to none
};

// Sub-folders included, each against the one of the same name. A picture belongs to the one of the same name
// whatever the extension, else to the only one whose name goes on after it as results' names do: photo.jpg
// and photo_x4.png, photo-up.png, photox4.png; either way round. Throws Failure(kIo).
FolderPairs pair_folders(const std::string& folder, const std::string& reference);

// All pictures of a folder and its sub-folders, sorted. Throws Failure(kIo).
std::vector<std::string> pictures_in(const std::string& folder);

}  // namespace ups::apps
