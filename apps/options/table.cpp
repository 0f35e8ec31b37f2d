// The table of all options, assembled from the files of this folder.
#include <algorithm>

#include "apps/options/registry.h"

namespace ups::apps {

const OptionTable& option_table() {
  static const OptionTable table = [] {
    OptionTable t;
    add_file_options(t);
    add_model_options(t);
    add_size_options(t);
    add_step_options(t);
    add_loop_options(t);
    add_finish_options(t);
    add_picture_options(t);
    add_format_options(t);
    add_batch_options(t);
    add_resource_options(t);
    add_message_options(t);
    // Help goes by group, and so does everything else.
    std::stable_sort(t.options.begin(), t.options.end(),
                     [](const Option& a, const Option& b) { return a.group < b.group; });
    return t;
  }();
  return table;
}

const char* title_of(Group group) {
  switch (group) {
    case Group::files:
      return "Files";
    case Group::model:
      return "Model";
    case Group::size:
      return "Size";
    case Group::steps:
      return "Steps";
    case Group::pixels:
      return "Kinds of pictures";
    case Group::finish:
      return "Finishing";
    case Group::format:
      return "File formats and metadata";
    case Group::batch:
      return "Many files";
    case Group::resources:
      return "Resources";
    default:
      return "Messages";
  }
}

std::vector<std::string> all_names(const Option& option) {
  std::vector<std::string> names;
  for (size_t from = 0; from < option.names.size();) {
    size_t comma = std::min(option.names.find(',', from), option.names.size());
    names.push_back(option.names.substr(from, comma - from));
    from = comma + 1;
  }
  return names;
}

std::string long_name(const Option& option) {
  for (const std::string& n : all_names(option))
    if (n.rfind("--", 0) == 0) return n;
  return option.names;
}

std::string shown_names(const Option& option) {
  std::string letter = "    ";
  for (const std::string& n : all_names(option)) {
    if (n.size() == 2) {
      letter = n + ", ";
      break;
    }
  }
  std::string text = letter + long_name(option);
  if (option.argument.empty()) return text;
  return text + (option.bare.empty() ? " " + option.argument : "[=" + option.argument + "]");
}

}  // namespace ups::apps
